package station_test

import (
	"testing"

	"herald/internal/control"
	"herald/internal/keys"
)

func TestTwoStationsKeepOneRecord(t *testing.T) {
	us, cn, _ := pair(t, nil)
	out := us.send(control.DraftRequest{Text: "Request to talk about the object over Montana.", Precedence: "flash"})
	items := us.await("delivery", func(is []control.Item) bool {
		for _, i := range is {
			if i.Number == 1 && step(is, i.Entry, "CN", "delivered") {
				return true
			}
		}
		return false
	})
	t.Log(out.Entry, len(items))
	name := "US 0001"
	got := cn.await("the message", func(is []control.Item) bool { _, ok := item(is, name); return ok })
	if i, _ := item(got, name); !i.Unopened || i.Text != "" || i.Precedence != "FLASH" || i.Defect != "" {
		t.Fatalf("before it is opened: %+v", i)
	}
	read, err := cn.st.Read(t.Context(), control.ReadRequest{Entry: name, Officer: cn.officers[keys.RoleWatch].Code()})
	check(t, err)
	if read.Text != "Request to talk about the object over Montana." {
		t.Fatalf("read %q", read.Text)
	}
	cn.send(control.DraftRequest{Kind: "answer", Refs: []string{name}, Text: "Agreed.", Precedence: "flash"})
	us.await("the answer", func(is []control.Item) bool { return step(is, name, "CN", "read") && step(is, name, "CN", "answered") })
	same(t, us, cn)
}
