package config_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"herald/internal/config"
	"herald/internal/line"
)

func TestCreateIsPrivateAndRefusesAnother(t *testing.T) {
	f := config.Folder(filepath.Join(t.TempDir(), "us"))
	if err := os.Mkdir(string(f), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.Create(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{string(f), f.Cards(), f.Charters(), f.Officers()} {
		st, err := os.Stat(d)
		if err != nil || st.Mode().Perm() != config.DirMode {
			t.Errorf("%s: %v, %v", d, st.Mode(), err)
		}
	}
	if err := f.Check(); err == nil {
		t.Error("a folder without a card passed for a party's")
	}
	if err := os.WriteFile(f.OwnCard(), []byte("x"), config.FileMode); err != nil {
		t.Fatal(err)
	}
	if err := f.Check(); err != nil {
		t.Error(err)
	}
	if err := f.Create(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a party's folder was taken for another: %v", err)
	}
}

func TestRootKeyLiesOutside(t *testing.T) {
	for _, dir := range []string{"us", "us/", ".", "/srv/herald/us"} {
		f := config.Folder(dir)
		abs, err := filepath.Abs(dir)
		if err != nil {
			t.Fatal(err)
		}
		root, err := filepath.Abs(f.RootKey())
		if err != nil {
			t.Fatal(err)
		}
		rel, err := filepath.Rel(abs, root)
		if err != nil || !strings.HasPrefix(rel, "..") {
			t.Errorf("%q: the root key %s lies inside", dir, f.RootKey())
		}
	}
}

func TestFindFiles(t *testing.T) {
	f := config.Folder(t.TempDir())
	deep := filepath.Join(string(f), "a", "b")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "root")
	for path, text := range map[string]string{
		filepath.Join(deep, "innocent.txt"): "SECRET and more",
		filepath.Join(string(f), "short"):   "SEC",
		filepath.Join(string(f), "other"):   strings.Repeat("x", 1000) + "SECRET",
		outside:                             "SECRET",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(string(f), "link")
	if err := os.Symlink(outside, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(string(f), "dangling")); err != nil {
		t.Fatal(err)
	}
	got, err := f.FindFiles(func(b []byte) bool { return bytes.HasPrefix(b, []byte("SECRET")) })
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0] != filepath.Join(deep, "innocent.txt") || got[1] != link {
		t.Errorf("found %q", got)
	}
}

func TestSettings(t *testing.T) {
	f := config.Folder(t.TempDir())
	if s, err := f.Settings(); err != nil || s.Listen != "" {
		t.Fatalf("no file: %+v, %v", s, err)
	}
	uncommented := regexp.MustCompile(`(?m)^# ([a-zA-Z_]+ = |\[)`).ReplaceAll(config.Template, []byte("$1"))
	if err := os.WriteFile(f.SettingsFile(), uncommented, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := f.Settings()
	if err != nil {
		t.Fatalf("the template's examples: %v", err)
	}
	if s.Listen != ":7400" || len(s.Peers["CN"]) != 2 || len(s.Alert.Command) != 2 {
		t.Errorf("got %+v", s)
	}
	if s, err = config.ParseSettings(config.Template); err != nil || s.Listen != "" || s.Peers != nil {
		t.Errorf("the template makes settings: %+v, %v", s, err)
	}
	if err := s.AddPeer("ru=127.0.0.1:1"); err != nil || s.Peers[line.Party("RU")][0] != "127.0.0.1:1" {
		t.Errorf("AddPeer: %+v, %v", s, err)
	}
	for _, bad := range []string{"RU", "RU=", "R U=a:1", "RU=nowhere"} {
		if err := s.AddPeer(bad); err == nil {
			t.Errorf("AddPeer took %q", bad)
		}
	}
}

func TestSettingsRefuse(t *testing.T) {
	for _, text := range []string{
		`lisen = ":7400"`, `listen = "7400"`, `log_level = "loud"`, `listen = 3`,
		"[peers]\nCN = [\"host\"]", "[peers]\nC-N = [\"host:1\"]", "[alert]\ncommand = [\"\"]",
		"[alert]\nsound = true", "\x00",
	} {
		if s, err := config.ParseSettings([]byte(text)); err == nil {
			t.Errorf("%q gave %+v", text, s)
		}
	}
}

func TestReadFileIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := config.ReadFile(path, 5); err != nil || string(b) != "12345" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := config.ReadFile(path, 4); err == nil {
		t.Error("read beyond the limit")
	}
}

func FuzzParseSettings(f *testing.F) {
	f.Add(config.Template)
	f.Add([]byte("listen = \":1\"\n[peers]\nCN = [\"h:2\"]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := config.ParseSettings(b)
		if err != nil {
			return
		}
		for p, addrs := range s.Peers {
			if _, err := line.ParseParty(string(p)); err != nil {
				t.Error(err)
			}
			for _, a := range addrs {
				if config.CheckAddress(a) != nil {
					t.Errorf("address %q", a)
				}
			}
		}
	})
}
