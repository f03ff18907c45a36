package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"herald/internal/control"
)

type saveCmd struct {
	lineFlag
	Out   string   `short:"o" placeholder:"FILE" help:"Where to write it (default: its name, in the current folder); - for the standard output."`
	Name  string   `placeholder:"NAME" help:"Which attachment, when there are several."`
	Entry []string `arg:"" name:"entry" help:"The entry that it is attached to, such as \"CN 0012\"."`
}

func (saveCmd) Help() string {
	return "Writes a received attachment, decrypted, to a file.\n\nExample:\n  herald save --dir us CN 0012 -o map.pdf"
}

func (c *saveCmd) Run(ctx context.Context, a *app) error {
	return a.with(ctx, func(s control.Service) error {
		l, err := c.find(ctx, s)
		if err != nil {
			return err
		}
		entry, _ := takeEntry(c.Entry, l.Parties)
		it, err := findItem(ctx, s, l, entry)
		if err != nil {
			return err
		}
		b, err := pick(it, c.Name)
		if err != nil {
			return err
		}
		out := c.Out
		if out == "" {
			out = fileName(b.Name)
		}
		err = a.writeOut(out, func(w io.Writer) error { return s.GetBlob(ctx, l.ID, b.Root, w) })
		if err == nil && out != "-" {
			a.printf("%s: %d bytes, from %s %s\n", out, b.Length, it.Entry, marked(it.Marking))
		}
		return err
	})
}

// pick finds the attachment that is meant.
func pick(it control.Item, name string) (control.Attachment, error) {
	var names []string
	for _, b := range it.Blobs {
		if name == "" && len(it.Blobs) == 1 || name != "" && b.Name == name {
			return b, nil
		}
		names = append(names, safe(b.Name))
	}
	if len(names) == 0 {
		return control.Attachment{}, fmt.Errorf("%s has no attachment", it.Entry)
	}
	return control.Attachment{}, fmt.Errorf("%s has the attachments %s: say which with --name", it.Entry, words(names, "and"))
}

// fileName makes a sender's name for a file harmless here: no folder, nothing
// hidden.
func fileName(name string) string {
	name = filepath.Base(strings.ReplaceAll(safe(name), "\\", "/"))
	name = strings.TrimLeft(strings.Map(func(r rune) rune {
		if r < ' ' || r == '/' {
			return '_'
		}
		return r
	}, name), ".-")
	if name == "" {
		return "attachment"
	}
	return name
}

// writeOut writes a file that did not exist, or the standard output for "-".
// When write fails, no file is left that might be taken for the whole.
func (a *app) writeOut(path string, write func(io.Writer) error) error {
	if path == "-" {
		return write(a.out)
	}
	if err := checkNew(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".part-*") // 0600
	if err != nil {
		return err
	}
	err = write(f)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
