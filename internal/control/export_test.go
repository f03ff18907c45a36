package control

// Handler is what answers on the socket.
var Handler = handler
