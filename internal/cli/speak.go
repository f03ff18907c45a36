package cli

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"herald/internal/control"
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/store/folder"
	"herald/internal/wire"
)

// lineFlag says which line is meant.
type lineFlag struct {
	Line string `placeholder:"ID" help:"The line, by a beginning of its name or of its title that no other line has; may be left out when there is one line."`
}

// find returns the line that is meant.
func (f lineFlag) find(ctx context.Context, s control.Service) (control.LineInfo, error) {
	st, err := s.Status(ctx)
	if err != nil {
		return control.LineInfo{}, err
	}
	var match []control.LineInfo
	var names []string
	for _, l := range st.Lines {
		names = append(names, l.ID.Short()+" ("+safe(l.Title)+")")
		if want := strings.ToLower(f.Line); strings.HasPrefix(l.Line, want) || strings.HasPrefix(strings.ToLower(l.Title), want) {
			match = append(match, l)
		}
	}
	switch {
	case len(match) == 1:
		return match[0], nil
	case len(names) == 0:
		return control.LineInfo{}, errors.New("there is no line yet: import a charter that all have signed with \"herald charter import\"")
	case f.Line == "":
		return control.LineInfo{}, fmt.Errorf("there is more than one line, so say which with --line: %s", strings.Join(names, ", "))
	case len(match) == 0:
		return control.LineInfo{}, fmt.Errorf("no line's name or title begins with %q: there is %s", f.Line, strings.Join(names, ", "))
	}
	return control.LineInfo{}, fmt.Errorf("more than one line's name or title begins with %q: %s", f.Line, strings.Join(names, ", "))
}

// wordFlags are what goes with words of every kind.
type wordFlags struct {
	Lang     string   `placeholder:"TAG" help:"The text's language (default: the party's first)."`
	Subject  string   `placeholder:"TEXT" help:"A subject, as other parties will see it above the text."`
	AnswerBy string   `placeholder:"TIME" help:"Asks for the answer, or says when one's own comes, by a time such as 2026-11-23T21:00Z, or in a while such as 90m."`
	Attach   []string `placeholder:"FILE" sep:"none" help:"Attach a file; it travels sealed, apart from the text, and never delays it."`
	Form     string   `placeholder:"SHA256" help:"The agreed form that the text fills, by its hash in the charter."`
	Token    string   `placeholder:"WORD" help:"Name of this attempt: a repeat with the same word makes no second message (default: random)."`
	JSON     bool     `help:"Print JSON."`
}

// messageFlags are what goes with a message.
type messageFlags struct {
	Precedence string   `default:"routine" placeholder:"PRECEDENCE" help:"flash, immediate, priority or routine (default ${default})."`
	Marking    string   `required:"" placeholder:"MARKING" help:"real, exercise or test: never left to be guessed."`
	To         []string `placeholder:"CODE" help:"Parties who owe the steps (default: all others)."`
	Info       []string `placeholder:"CODE" help:"Parties who are told."`
	Ref        []string `placeholder:"ENTRY" sep:"none" help:"An earlier entry that it refers to, such as \"US 0598\"."`
}

// apply fills in a request.
func (f wordFlags) apply(r *control.DraftRequest, now time.Time) (err error) {
	r.Lang, r.Subject, r.Form, r.Token = f.Lang, f.Subject, f.Form, f.Token
	r.AnswerBy, err = parseWhen(f.AnswerBy, now)
	return err
}

func (f messageFlags) apply(r *control.DraftRequest) error {
	p, err := line.ParsePrecedence(f.Precedence)
	if err != nil {
		return err
	}
	m, err := line.ParseMarking(f.Marking)
	if err != nil {
		return err
	}
	r.Precedence, r.Marking, r.Refs = lower(p), lower(m), f.Ref
	if r.Action, err = parties(f.To); err != nil {
		return err
	}
	r.Info, err = parties(f.Info)
	return err
}

func lower(s fmt.Stringer) string { return strings.ToLower(s.String()) }

func parties(codes []string) (out []line.Party, err error) {
	for _, c := range codes {
		p, err := line.ParseParty(strings.ToUpper(c))
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// parseWhen reads a time, or a while from now, as Unix seconds; "" is 0.
func parseWhen(s string, now time.Time) (int64, error) {
	if s == "" {
		return 0, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(d).Unix(), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Unix(), nil
		}
	}
	return 0, fmt.Errorf("time %q: want one such as 2026-11-23T21:00Z, or a while such as 90m", s)
}

// wanted says how words are looked for when none are among the arguments.
type wanted int

const (
	needed   wanted = iota // on the standard input
	optional               // there too, unless it is a terminal: an attachment may go alone
	unasked                // nowhere: the act says enough
)

// text takes a message's words from the arguments, or from the standard input.
func (a *app) text(args []string, w wanted) (string, error) {
	text := strings.Join(args, " ")
	if len(args) == 0 && (w == unasked || w == optional && a.terminal) {
		return "", nil
	}
	if len(args) == 0 || len(args) == 1 && args[0] == "-" {
		if a.terminal {
			a.notef("Type the text; end it with Ctrl-D on a line of its own.\n")
		}
		b, err := io.ReadAll(io.LimitReader(a.in, wire.MaxText+2))
		if err != nil {
			return "", fmt.Errorf("read the text from the standard input: %w", err)
		}
		text = strings.TrimRight(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n")
	}
	if err := wire.CheckText(text, wire.MaxText); err != nil {
		return "", fmt.Errorf("not sent: %w", err)
	}
	if strings.TrimSpace(text) == "" && w == needed {
		return "", errors.New("there is no text: give it as an argument or on the standard input")
	}
	return text, nil
}

// words says whether a message needs a text.
func (f wordFlags) words() wanted {
	if len(f.Attach) > 0 {
		return optional
	}
	return needed
}

// attach seals files for a draft.
func (a *app) attach(ctx context.Context, s control.Service, l line.ID, paths []string) (out []control.Attachment, err error) {
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return nil, fmt.Errorf("attach: %w", err)
		}
		x, err := s.PutBlob(ctx, l, filepath.Base(p), f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("attach %s: %w", p, err)
		}
		out = append(out, x)
	}
	return out, nil
}

// token makes a random name for an attempt.
func (a *app) token() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(a.rand, b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}

// speaker is an officer whose key is open.
type speaker struct {
	key   *keys.Officer
	party line.Party
}

// speaker opens the key of the officer who acts.
func (a *app) speaker(f officerFlags) (speaker, error) {
	code, err := f.code(a)
	if err != nil {
		return speaker{}, err
	}
	own, err := folder.Own(a.Dir)
	if err != nil {
		return speaker{}, err
	}
	k, err := f.open(a, code)
	return speaker{k, own.Card.Party}, err
}

// release signs a draft's statement, having compared it with what is shown,
// and hands the signature in.
func (sp speaker) release(ctx context.Context, s control.Service, d control.Draft) (control.Released, error) {
	if err := checkStatement(d, sp.party); err != nil {
		return control.Released{}, err
	}
	return s.Release(ctx, control.ReleaseRequest{Draft: d.ID, Officer: sp.key.Code(), Signature: sp.key.Sign(d.Statement)})
}

// checkStatement compares what would be signed with what was shown. Only the
// text's hash is the station's word (spec 01 §8).
func checkStatement(d control.Draft, p line.Party) error {
	prec, err := line.ParsePrecedence(d.Precedence)
	if err != nil {
		return err
	}
	mark, err := line.ParseMarking(d.Marking)
	if err != nil {
		return err
	}
	st := d.Statement
	id, err := line.ParseID(d.LineID)
	if err != nil {
		return err
	}
	head := len("herald/release/1") + 1 + len(id)
	if len(st) > head+4+32 {
		version := binary.BigEndian.Uint32(st[head:])
		content := [32]byte(st[len(st)-32:])
		if bytes.Equal(st, keys.ReleaseStatement(id, version, p, uint64(d.Time), prec, mark, content)) {
			return nil
		}
	}
	return errors.New("nothing was signed: the statement that the station gives to sign is not about the draft that it shows; do not trust this station until somebody has found out why")
}

// showDraft shows what a releaser is about to sign.
func (a *app) showDraft(d control.Draft, l control.LineInfo) {
	w := a.errs
	fmt.Fprintf(w, "Draft %d on line %s (%s)\n", d.ID, l.ID.Short(), safe(l.Title))
	rows := [][]string{{"kind", d.Kind}, {"precedence", strings.ToUpper(d.Precedence)}, {"marking", strings.ToUpper(d.Marking)}}
	for _, r := range []struct{ name, value string }{
		{"for action", words(d.Action, "and")}, {"for info", words(d.Info, "and")},
		{"about", strings.Join(d.Refs, ", ")}, {"subject", d.Subject}, {"language", d.Lang}, {"form", d.Form},
	} {
		if r.value != "" {
			rows = append(rows, []string{r.name, r.value})
		}
	}
	if d.AnswerBy != 0 {
		rows = append(rows, []string{"answer by", stamp(d.AnswerBy)})
	}
	for _, x := range d.Blobs {
		rows = append(rows, []string{"attached", fmt.Sprintf("%s, %d bytes", x.Name, x.Length)})
	}
	table(w, rows)
	printText(w, strings.ToUpper(d.Marking), d.Text)
}

// reportReleased says what a release led to.
func (a *app) reportReleased(r control.Released) {
	d := r.Draft
	mark := strings.ToUpper(d.Marking)
	switch {
	case !r.Accepted:
		a.printf("Draft %d: released by %s; %s of role %s must still release:\n  herald release --dir %s --as OFFICER %d\n",
			d.ID, words(d.Released, "and"), plural(d.Need-len(d.Released), "officer", "officers"), words(d.Roles, "or"), a.Dir, d.ID)
	case r.Entry != "":
		a.printf("%s accepted: %s %s, durable here and on its way.\n", r.Entry, mark, strings.ToUpper(d.Precedence))
	case r.Held != "":
		a.printf("Draft %d accepted: %s %s, durable here. It is not signed yet: %s\n", d.ID, mark, strings.ToUpper(d.Precedence), safe(r.Held))
	default:
		a.printf("Draft %d accepted: %s %s, durable here. It waits for a way out and gets its number when it leaves.\n", d.ID, mark, strings.ToUpper(d.Precedence))
	}
}
