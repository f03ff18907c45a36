package config

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"strings"

	"github.com/BurntSushi/toml"

	"herald/internal/line"
)

// maxSettings bounds herald.toml, in bytes.
const maxSettings = 64 << 10

// Template is a herald.toml in which every setting is explained and none is
// made.
//
//go:embed herald.toml
var Template []byte

// Settings is what herald.toml says. The zero value is a station that listens
// nowhere, dials nobody and has no alarm.
type Settings struct {
	Listen string                  // address to listen on; "" is none
	Peers  map[line.Party][]string // addresses to dial
	Alert  Alert
	Log    slog.Level
}

// Alert is how the watch is called.
type Alert struct {
	Command []string // program and arguments; exit status 0 says that it rang
}

// settingsFile is herald.toml as it is written.
type settingsFile struct {
	Listen   string              `toml:"listen"`
	LogLevel string              `toml:"log_level"`
	Peers    map[string][]string `toml:"peers"`
	Alert    struct {
		Command []string `toml:"command"`
	} `toml:"alert"`
}

// Settings reads the folder's herald.toml. A missing file is no settings.
func (f Folder) Settings() (Settings, error) {
	b, err := ReadFile(f.SettingsFile(), maxSettings)
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{}, nil
	}
	if err != nil {
		return Settings{}, fmt.Errorf("settings: %w", err)
	}
	s, err := ParseSettings(b)
	if err != nil {
		return Settings{}, fmt.Errorf("settings in %s: %w", f.SettingsFile(), err)
	}
	return s, nil
}

// ParseSettings reads the text of a herald.toml. A name that it does not know
// is refused, for a misspelt setting is one that is silently not made.
func ParseSettings(b []byte) (Settings, error) {
	var in settingsFile
	md, err := toml.Decode(string(b), &in)
	if err != nil {
		return Settings{}, err
	}
	if u := md.Undecoded(); len(u) > 0 {
		return Settings{}, fmt.Errorf("no such setting: %s", u[0])
	}
	s := Settings{Listen: in.Listen, Alert: Alert{Command: in.Alert.Command}}
	if err := CheckAddress(s.Listen); s.Listen != "" && err != nil {
		return Settings{}, fmt.Errorf("listen: %w", err)
	}
	if in.LogLevel != "" {
		if err := s.Log.UnmarshalText([]byte(in.LogLevel)); err != nil {
			return Settings{}, fmt.Errorf("log_level %q: want debug, info, warn or error", in.LogLevel)
		}
	}
	if len(s.Alert.Command) > 0 && s.Alert.Command[0] == "" {
		return Settings{}, errors.New("alert command: the program has no name")
	}
	for code, addrs := range in.Peers {
		if err := s.addPeer(code, addrs); err != nil {
			return Settings{}, fmt.Errorf("peers: %w", err)
		}
	}
	return s, nil
}

func (s *Settings) addPeer(code string, addrs []string) error {
	p, err := line.ParseParty(strings.ToUpper(code))
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if err := CheckAddress(a); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	if s.Peers == nil {
		s.Peers = map[line.Party][]string{}
	}
	s.Peers[p] = append(s.Peers[p], addrs...)
	return nil
}

// AddPeer adds an address given as CODE=HOST:PORT.
func (s *Settings) AddPeer(arg string) error {
	code, addr, ok := strings.Cut(arg, "=")
	if !ok {
		return fmt.Errorf("peer %q: want CODE=HOST:PORT, such as CN=cn.example.org:7400", arg)
	}
	return s.addPeer(code, []string{addr})
}

// CheckAddress refuses what is not HOST:PORT or :PORT.
func CheckAddress(a string) error {
	_, port, err := net.SplitHostPort(a)
	if err != nil || port == "" {
		return fmt.Errorf("address %q: want HOST:PORT, such as 192.0.2.7:7400 or :7400", a)
	}
	return nil
}
