package session_test
import ("testing";"time";"fmt";"herald/internal/wire")
func TestZZ(t *testing.T){ bubble(t, func(t *testing.T){
		w := newWorld(t, 2, nil, nil)
		defer w.close()
		a, b := w.nodes[0], w.nodes[1]
		part := w.join(a, b, nil)
		a.say(words{text: "By the network."})
		w.settle(10 * time.Second)
		part()
		snap,_ := a.store.Load(t.Context(), a.line.ID())
		for k,v := range snap.Meta { fmt.Println(k,len(v)) }
		var h wire.Have
		fmt.Println(wire.Unmarshal(snap.Meta["have/1"], wire.MaxFrame, &h), fmt.Sprintf("%+v",h))
		fmt.Printf("%+v\n", a.view().Logs)
})}
