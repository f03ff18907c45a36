package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"herald/internal/control"
	"herald/internal/line"
)

type courierExport struct {
	lineFlag
	To         string `placeholder:"CODE" help:"Whom it is carried to (default: whoever lacks most)."`
	PieceSize  string `placeholder:"SIZE" help:"Cut into pieces of at most this size, such as 700MB or 1440K, as the medium needs."`
	Everything bool   `help:"Carry all, not only what the other side is known to lack."`
	File       string `arg:"" help:"The file to write; pieces are FILE, FILE.2, FILE.3, …"`
}

func (courierExport) Help() string {
	return `Writes what the other side lacks to files, sealed, to be carried on a medium. Pieces may arrive in any order, any number of times.

Example:
  herald courier export --dir us /media/stick/us.courier`
}

func (c *courierExport) Run(ctx context.Context, a *app) error {
	size, err := parseSize(c.PieceSize)
	if err != nil {
		return err
	}
	to := line.Party("")
	if c.To != "" {
		if to, err = line.ParseParty(strings.ToUpper(c.To)); err != nil {
			return err
		}
	}
	return a.with(ctx, func(s control.Service) error {
		l, err := c.find(ctx, s)
		if err != nil {
			return err
		}
		var paths []string
		sum, err := s.CourierExport(ctx, control.CourierRequest{LineID: l.Line, To: to, PieceSize: size, Everything: c.Everything}, func(int) (io.WriteCloser, error) {
			path := c.File
			if n := len(paths) + 1; n > 1 {
				path = fmt.Sprintf("%s.%d", c.File, n)
			}
			w, err := newPiece(path)
			if err == nil {
				paths = append(paths, path)
			}
			return w, err
		})
		if err != nil {
			for _, p := range paths { // they were made just now, and are not the whole
				err = errors.Join(err, os.Remove(p))
			}
			return err
		}
		a.printf("%s, %d bytes, in %s:\n", plural(sum.Entries, "entry", "entries"), sum.Bytes, plural(len(paths), "piece", "pieces"))
		for _, p := range paths {
			a.printf("  %s\n", p)
		}
		return nil
	})
}

// pieceFile is a piece that has its name only once it is whole.
type pieceFile struct {
	*os.File
	path string
}

func newPiece(path string) (io.WriteCloser, error) {
	if err := checkNew(path); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".part-*")
	if err != nil {
		return nil, err
	}
	return &pieceFile{f, path}, nil
}

func (p *pieceFile) Close() error {
	if err := errors.Join(p.Sync(), p.File.Close()); err != nil {
		return errors.Join(err, os.Remove(p.Name()))
	}
	return os.Rename(p.Name(), p.path)
}

// parseSize reads bytes, with K, M or G, or KB, MB or GB, for powers of 1000.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	t := strings.TrimSuffix(strings.ToUpper(s), "B")
	unit := int64(1)
	for _, u := range []struct {
		suffix string
		n      int64
	}{{"K", 1e3}, {"M", 1e6}, {"G", 1e9}} {
		if rest, ok := strings.CutSuffix(t, u.suffix); ok {
			t, unit = rest, u.n
		}
	}
	n, err := strconv.ParseInt(t, 10, 32)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("size %q: want a number of bytes, such as 1440K or 700MB", s)
	}
	return n * unit, nil
}

type courierImport struct {
	Files []string `arg:"" name:"file" help:"Pieces, in any order; - for the standard input."`
}

func (courierImport) Help() string {
	return "Takes what is new and says how much that was. To take a piece again is harmless; a damaged one is named, to be copied again.\n\nExample:\n  herald courier import --dir cn /media/stick/us.courier*"
}

func (c *courierImport) Run(ctx context.Context, a *app) error {
	return a.with(ctx, func(s control.Service) error {
		for _, path := range c.Files {
			sum, err := a.importPiece(ctx, s, path)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			a.printf("%s: %s, %d of them new", path, plural(sum.Entries, "entry", "entries"), sum.New)
			if sum.Refused > 0 {
				a.printf(", %d refused", sum.Refused)
			}
			a.printf("\n")
		}
		return nil
	})
}

func (a *app) importPiece(ctx context.Context, s control.Service, path string) (control.CourierSummary, error) {
	if path == "-" {
		return s.CourierImport(ctx, a.in)
	}
	f, err := os.Open(path)
	if err != nil {
		return control.CourierSummary{}, err
	}
	defer f.Close()
	return s.CourierImport(ctx, f)
}
