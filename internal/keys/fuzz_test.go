package keys

import (
	"bytes"
	"testing"
)

func FuzzParseCardText(f *testing.F) {
	c, _ := testCard(f)
	f.Add(c.Text())
	f.Add("herald-card/1\nparty US\n")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCardText(s)
		if err != nil {
			return
		}
		if c.Text() != s {
			t.Fatal("a text that is not canonical was accepted")
		}
	})
}

func FuzzParseCard(f *testing.F) {
	c, root := testCard(f)
	msg, err := SignCard(c, root)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg)
	f.Fuzz(func(t *testing.T, b []byte) {
		// Nobody without the root can make another note that counts for it.
		if got, err := ParseCard(b); err == nil && got.Root == root.Public() && !bytes.Equal(b, msg) {
			t.Fatal("forged")
		}
	})
}

// The clear line and the age header are read before any passphrase counts.
func FuzzKeyFileHeader(f *testing.F) {
	f.Add([]byte("herald-root/1 US\n-----BEGIN AGE ENCRYPTED FILE-----\n"))
	f.Add([]byte("herald-station/1 US nmcc 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, owner, ok := FileOwner(b)
		if ok != (kind != "") || ok && !bytes.Contains(b, []byte("/1 "+owner+"\n")) && owner != "" {
			t.Fatalf("%q, %q, %v", kind, owner, ok)
		}
		if _, f, _, err := splitHead(rootKind, 1, b); err == nil && (len(f) != 1 || !IsRootFile(b)) {
			t.Fatal("a root's head line that IsRootFile does not see")
		}
	})
}

// What stands inside a key file is untrusted until it parses.
func FuzzKeyFileContent(f *testing.F) {
	f.Add("ed25519 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	f.Fuzz(func(t *testing.T, s string) {
		if o, err := readOfficer([]string{"US", "us-watch-1"}, newRows(s)); err == nil {
			if want := "ed25519 " + b64(o.Key.Seed()) + "\n"; s != want {
				t.Fatalf("%q was read as %q", s, want)
			}
		}
	})
}

func FuzzParseReleases(f *testing.F) {
	f.Add(AppendRelease(AppendRelease(nil, 1, make([]byte, 64)), 300, make([]byte, 64)))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseReleases(b)
		if err != nil {
			return
		}
		var again []byte
		for _, r := range got {
			again = AppendRelease(again, r.Officer, r.Sig)
		}
		if !bytes.Equal(again, b) {
			t.Fatal("not the only encoding")
		}
	})
}
