package demo

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"herald/internal/bearer/linksim"
)

// Proxy is the network between the two stations, for a process of its own: it
// carries connections to the target, prints the address where it does, and
// takes one command a line: cut, heal or quit. Cutting drops what is connected
// and lets nothing new through. It returns when ctx ends, at quit, or when the
// commands end.
func Proxy(ctx context.Context, target string, commands io.Reader, out io.Writer) error {
	l, err := linksim.Start("127.0.0.1:0", target, linksim.Config{})
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := fmt.Fprintln(out, l.Addr()); err != nil {
		return err
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(commands); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case c, ok := <-lines:
			switch {
			case !ok || c == "quit":
				return nil
			case c == "cut":
				l.Cut()
				l.Sever()
			case c == "heal":
				l.Heal()
			}
		}
	}
}
