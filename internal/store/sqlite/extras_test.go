package sqlite

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"herald/internal/line"
)

func TestDrafts(t *testing.T) {
	db := openTemp(t)
	ctx := context.Background()
	put := func(d Draft) uint64 {
		t.Helper()
		id, err := db.PutDraft(ctx, d)
		if err != nil || id == 0 {
			t.Fatalf("put: %d, %v", id, err)
		}
		return id
	}
	a := Draft{Line: line.ID{1}, Box: []byte("words"), Segment: 4, State: "draft", Token: "t", Updated: 9}
	a.ID = put(a)
	if again := put(Draft{Line: line.ID{1}, Box: []byte("other words"), Token: "t"}); again != a.ID {
		t.Fatalf("the same token made another draft: %d, %d", a.ID, again)
	}
	other := put(Draft{Line: line.ID{2}, Token: "t"})
	b := Draft{Line: line.ID{1}, Box: []byte("no token"), State: "draft"}
	b.ID = put(b)
	c := b
	c.ID = 0
	if c.ID = put(c); c.ID == b.ID || other == a.ID {
		t.Fatal("drafts without a token, or of two lines, became one")
	}
	a.State, a.Box = "released", []byte("better words")
	put(a)
	if got, ok, err := db.Draft(ctx, a.ID); err != nil || !ok || !reflect.DeepEqual(got, a) {
		t.Fatalf("draft: %+v, %v, %v", got, ok, err)
	}
	if _, err := db.PutDraft(ctx, Draft{ID: b.ID, Line: line.ID{1}, Token: "t"}); !errors.Is(err, ErrTokenTaken) {
		t.Fatalf("another draft's token: %v", err)
	}
	if _, err := db.PutDraft(ctx, Draft{ID: 99, Line: line.ID{1}}); !errors.Is(err, ErrNoDraft) {
		t.Fatalf("replacing nothing: %v", err)
	}
	if err := errors.Join(db.DeleteDraft(ctx, b.ID), db.DeleteDraft(ctx, b.ID)); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Drafts(ctx, line.ID{1}); err != nil || !reflect.DeepEqual(got, []Draft{a, c}) {
		t.Fatalf("drafts: %+v, %v", got, err)
	}
	if _, ok, err := db.Draft(ctx, b.ID); err != nil || ok {
		t.Fatalf("a deleted draft: %v, %v", ok, err)
	}
	if err := db.DeleteDraft(ctx, c.ID); err != nil {
		t.Fatal(err)
	}
	if next := put(Draft{Line: line.ID{1}}); next <= c.ID {
		t.Fatalf("a draft's number was given again: %d", next)
	}
}
