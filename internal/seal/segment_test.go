package seal

import (
	"bytes"
	"errors"
	"testing"
)

func TestSegmentOpensBothWays(t *testing.T) {
	offline, working := key(t, 1), [32]byte{7}
	s, err := NewSegment(seeded(2), 12, working, offline.Public())
	if err != nil {
		t.Fatal(err)
	}
	ctx, words := []byte("place"), []byte("we meet at noon")
	b, err := s.Seal(seeded(3), ctx, words)
	if err != nil || len(b) != len(words)+LocalOverhead {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	byWorking, err := OpenSegment(s.Wrapped(), working)
	if err != nil {
		t.Fatal(err)
	}
	byOffline, err := OpenSegmentOffline(s.Offline(), offline)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []*Segment{s, byWorking, byOffline} {
		if got, err := o.Open(ctx, b); err != nil || !bytes.Equal(got, words) || o.ID() != 12 {
			t.Errorf("segment %d: %q, %v", o.ID(), got, err)
		}
		if _, err := o.Open([]byte("elsewhere"), b); !errors.Is(err, ErrOpen) {
			t.Errorf("opened in another place: %v", err)
		}
	}
	again, err := byWorking.Seal(seeded(4), ctx, words)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := byOffline.Open(ctx, again); err != nil || !bytes.Equal(got, words) {
		t.Errorf("%q, %v", got, err)
	}
	for i := range b {
		changed := bytes.Clone(b)
		changed[i] ^= 1
		if _, err := s.Open(ctx, changed); !errors.Is(err, ErrOpen) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := s.Open(ctx, b[:i]); !errors.Is(err, ErrOpen) {
			t.Errorf("first %d bytes: %v", i, err)
		}
	}
}

func TestSegmentOpensWithNothingElse(t *testing.T) {
	offline, working := key(t, 1), [32]byte{7}
	s, err := NewSegment(seeded(2), 12, working, offline.Public())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSegment(s.Wrapped(), [32]byte{8}); !errors.Is(err, ErrOpen) {
		t.Errorf("another working key: %v", err)
	}
	if _, err := OpenSegmentOffline(s.Offline(), key(t, 2)); !errors.Is(err, ErrOpen) {
		t.Errorf("another offline key: %v", err)
	}
	w := s.Wrapped()
	for i := range w {
		c := bytes.Clone(w)
		c[i] ^= 1
		if _, err := OpenSegment(c, working); !errors.Is(err, ErrOpen) {
			t.Errorf("wrapped byte %d changed: %v", i, err)
		}
		if _, err := OpenSegment(w[:i], working); err == nil {
			t.Errorf("opened from %d bytes", i)
		}
	}
	// Its number, and some of the encapsulation and the box.
	for _, i := range []int{0, 7, 8, 600, 1127, 1128, len(s.Offline()) - 1} {
		c := bytes.Clone(s.Offline())
		c[i] ^= 1
		if _, err := OpenSegmentOffline(c, offline); !errors.Is(err, ErrOpen) {
			t.Errorf("sealed byte %d changed: %v", i, err)
		}
	}
	if _, err := OpenSegmentOffline(s.Offline()[1:], offline); err == nil {
		t.Error("opened a short one")
	}
}

func TestSegmentWithoutOfflineKeyAndErased(t *testing.T) {
	s, err := NewSegment(seeded(2), 12, [32]byte{7}, nil)
	if err != nil || s.Offline() != nil {
		t.Fatalf("%x, %v", s.Offline(), err)
	}
	b, err := s.Seal(seeded(3), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Erase()
	if s.key != [32]byte{} {
		t.Error("the key is still there")
	}
	if _, err := s.Open(nil, b); err == nil {
		t.Error("opened with an erased key")
	}
	if _, err := s.Seal(seeded(3), nil, nil); err == nil {
		t.Error("sealed with an erased key")
	}
	if _, err := NewSegment(seeded(2), 12, [32]byte{7}, []byte("no key")); err == nil {
		t.Error("took an offline key that is none: its archive would be lost")
	}
}

func FuzzOpenSegment(f *testing.F) {
	s, err := NewSegment(seeded(2), 12, [32]byte{7}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Wrapped(), []byte("box"))
	offline := key(f, 1)
	f.Fuzz(func(t *testing.T, b, boxed []byte) {
		if o, err := OpenSegment(b, [32]byte{7}); err == nil && (!bytes.Equal(b, s.Wrapped()) || o.ID() != 12) {
			t.Fatalf("forged a segment: %x", b)
		}
		if _, err := OpenSegmentOffline(b, offline); err == nil {
			t.Fatalf("forged a sealed segment: %x", b)
		}
		if _, err := s.Open(nil, boxed); err == nil {
			t.Fatalf("forged a box: %x", boxed)
		}
	})
}
