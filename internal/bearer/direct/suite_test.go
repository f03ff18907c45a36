package direct

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"net"
	"sync"
	"testing"

	"herald/internal/bearer"
	"herald/internal/bearer/bearertest"
)

// testKey derives a key from one byte, so that tests need no randomness.
func testKey(n byte) ed25519.PrivateKey {
	seed := [ed25519.SeedSize]byte{n}
	return ed25519.NewKeyFromSeed(seed[:])
}

// tcpPair returns both ends of a TCP connection on loopback.
func tcpPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// tlsPair returns both ends of an authenticated connection: A is "US", B "CN".
func tlsPair(t testing.TB, client, server net.Conn) (a, b *Conn) {
	t.Helper()
	us, cn := endpoint(t, 1, nil), endpoint(t, 2, nil)
	var g sync.WaitGroup
	var errA, errB error
	g.Go(func() { a, errA = us.handshake(t.Context(), client, tls.Client(client, us.tlsConfig("CN")), "CN") })
	g.Go(func() { b, errB = cn.handshake(t.Context(), server, tls.Server(server, cn.tlsConfig("")), "") })
	g.Wait()
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	return a, b
}

// endpoint makes an endpoint with test key n, which knows keys 1 and 2.
func endpoint(t testing.TB, n byte, handle bearer.Handler) *Endpoint {
	t.Helper()
	if handle == nil {
		handle = func(context.Context, bearer.Conn) {}
	}
	e, err := New(Config{Key: testKey(n), Peer: known, Handle: handle})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func known(key ed25519.PublicKey) (string, bool) {
	for n, name := range map[byte]string{1: "US", 2: "CN"} {
		if key.Equal(testKey(n).Public()) {
			return name, true
		}
	}
	return "", false
}

func TestConformanceOverTLS(t *testing.T) {
	bearertest.Run(t, func(t testing.TB) bearertest.Pair {
		client, server := tcpPair(t)
		a, b := tlsPair(t, client, server)
		return bearertest.Pair{
			A: a, B: b,
			Cut:    func() { client.Close(); server.Close() },
			Inject: func(junk []byte) { _, _ = client.Write(junk) },
		}
	})
}

// The framing alone, without TLS to catch what is wrong first.
func TestConformanceOverPlainStream(t *testing.T) {
	bearertest.Run(t, func(t testing.TB) bearertest.Pair {
		client, server := tcpPair(t)
		pool := newPool()
		return bearertest.Pair{
			A:      newConn(client, client, bearer.Peer{}, true, idleAfter, pool),
			B:      newConn(server, server, bearer.Peer{}, false, idleAfter, pool),
			Cut:    func() { client.Close(); server.Close() },
			Inject: func(junk []byte) { _, _ = client.Write(junk) },
		}
	})
}
