package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"herald/internal/config"
	"herald/internal/line"
)

// maxPassphrase bounds a passphrase file, in bytes.
const maxPassphrase = 4 << 10

// secretName names a key for its passphrase: what to ask for, and the name of
// its file or credential.
type secretName struct {
	kind string // root, station, officer
	file string
	what string
}

func rootSecret() secretName { return secretName{"root", "root", "root key"} }

func stationSecret() secretName { return secretName{"station", "station", "station key"} }

func officerSecret(o line.Officer) secretName {
	return secretName{"officer", string(o), "key of officer " + string(o)}
}

// passphrase finds a key's passphrase: in the file that a flag names, in the
// folder of passphrases, among the process's credentials, or by asking. For a
// new key it is asked twice.
func (a *app) passphrase(s secretName, isNew bool) (string, error) {
	path, err := a.passphraseFile(s)
	if err != nil {
		return "", err
	}
	if path != "" {
		return readPassphrase(path, s)
	}
	p, err := a.ask("Passphrase of the " + s.what + ": ")
	if errors.Is(err, errNoTerminal) {
		return "", fmt.Errorf("the %s needs its passphrase and there is no terminal to ask on: give --%s-passphrase-file FILE, or --passphrases DIR with a file %s in it", s.what, s.kind, s.file)
	}
	if err != nil {
		return "", fmt.Errorf("passphrase of the %s: %w", s.what, err)
	}
	if p == "" {
		return "", fmt.Errorf("the passphrase of the %s is empty; nothing was done", s.what)
	}
	if isNew {
		again, err := a.ask("Once more: ")
		if err != nil {
			return "", fmt.Errorf("passphrase of the %s: %w", s.what, err)
		}
		if again != p {
			return "", fmt.Errorf("the two passphrases of the %s differ; nothing was done, try again", s.what)
		}
	}
	return p, nil
}

// passphraseFile returns the file to read a key's passphrase from, or "".
func (a *app) passphraseFile(s secretName) (string, error) {
	own := map[string]string{"root": a.RootPassphraseFile, "station": a.StationPassphraseFile, "officer": a.OfficerPassphraseFile}
	if path := own[s.kind]; path != "" {
		return path, nil
	}
	for _, dir := range []string{a.Passphrases, a.env("CREDENTIALS_DIRECTORY")} {
		path := filepath.Join(dir, s.file)
		if _, err := os.Stat(path); dir != "" && !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	if a.PassphraseFile == "" {
		return "", nil
	}
	if a.single != "" && a.single != s.file {
		return "", fmt.Errorf("this command uses the keys %s and %s, and each has a passphrase of its own: give --%s-passphrase-file instead of --passphrase-file", a.single, s.file, s.kind)
	}
	a.single = s.file
	return a.PassphraseFile, nil
}

func readPassphrase(path string, s secretName) (string, error) {
	b, err := config.ReadFile(path, maxPassphrase)
	if err != nil {
		return "", fmt.Errorf("passphrase of the %s: %w", s.what, err)
	}
	p := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if p == "" {
		return "", fmt.Errorf("passphrase of the %s: the file %s is empty", s.what, path)
	}
	return p, nil
}
