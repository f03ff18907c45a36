package station

import (
	"herald/internal/bearer"
	"herald/internal/line"
	"herald/internal/session"
)

// Session returns one of the station's lines, for who measures or steers it
// from inside this process.
func (s *Station) Session(id line.ID) (*session.Line, bool) { return s.find(id) }

// Carriers returns the state of every connection with a party.
func (s *Station) Carriers(p line.Party) []bearer.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []bearer.State
	for c, x := range s.conns {
		if c.Party() == p {
			out = append(out, x.conn.State())
		}
	}
	return out
}
