package sqlite

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"herald/internal/line"
)

func TestLinesAndCards(t *testing.T) {
	db := openTemp(t)
	ctx := context.Background()
	if err := db.Commit(ctx, counting(0, line.ID{3})); err != nil { // a line without a charter yet
		t.Fatal(err)
	}
	if got, err := db.Lines(ctx); err != nil || len(got) > 0 {
		t.Fatalf("lines: %v, %v", got, err)
	}
	want := []LineRow{{line.ID{3}, []byte("charter three")}, {line.ID{1}, []byte("charter one, more signatures")}}
	for _, r := range []LineRow{{line.ID{3}, []byte("charter three")}, {line.ID{1}, []byte("charter one")}, want[1]} {
		if err := db.PutLine(ctx, r.ID, r.Charter); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := db.Lines(ctx); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("lines: %v, %v", got, err)
	}
	if note, ok, err := db.Charter(ctx, line.ID{1}); err != nil || !ok || string(note) != string(want[1].Charter) {
		t.Fatalf("charter: %q, %v, %v", note, ok, err)
	}
	if _, ok, err := db.Charter(ctx, line.ID{2}); err != nil || ok {
		t.Fatalf("charter of an unknown line: %v, %v", ok, err)
	}
	if got := holds(t, db, line.ID{3}); got != 1 {
		t.Fatalf("%d batches", got)
	}

	cards := []CardRow{
		{"CN", 2, []byte("a"), [32]byte{2}, false}, {"US", 1, []byte("b"), [32]byte{5}, true}, {"US", 1, []byte("forged"), [32]byte{7}, false},
	}
	for _, i := range []int{1, 0, 2} {
		if err := db.PutCard(ctx, cards[i]); err != nil {
			t.Fatal(err)
		}
	}
	cards[0].Trusted = true
	if err := db.PutCard(ctx, cards[0]); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Cards(ctx); err != nil || !reflect.DeepEqual(got, cards) {
		t.Fatalf("cards: %v, %v", got, err)
	}
}

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
