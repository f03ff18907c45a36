package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// safe makes words of others fit for a terminal: what would move the cursor,
// hide text or turn its direction becomes a visible mark.
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == 0x2028, r == 0x2029, r >= 0xE0000 && r <= 0xE007F:
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// stamp shows a time in UTC, and in this machine's own zone where that is
// another.
func stamp(unix int64) string {
	if unix == 0 {
		return "-"
	}
	t := time.Unix(unix, 0)
	s := t.UTC().Format("2006-01-02 15:04:05Z")
	if name, offset := t.Zone(); offset != 0 {
		s += t.Format(" (15:04 ") + name + ")"
	}
	return s
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

// table aligns rows in columns.
func table(w io.Writer, rows [][]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		for i := range r {
			r[i] = strings.ReplaceAll(safe(r[i]), "\t", " ")
		}
		fmt.Fprintln(t, strings.TrimRight("  "+strings.Join(r, "\t"), "\t"))
	}
	t.Flush() // a failed write shows at the next
}

// printJSON writes one value for programs.
func printJSON[A any](w io.Writer, v A) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

// words joins a list for a sentence.
func words[S ~string](list []S, last string) string {
	s := ""
	for i, x := range list {
		switch {
		case i == 0:
		case i == len(list)-1:
			s += " " + last + " "
		default:
			s += ", "
		}
		s += string(x)
	}
	return s
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
