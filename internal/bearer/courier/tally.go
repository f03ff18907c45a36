package courier

// Tally keeps count of one bundle's pieces, to say which have not come. Its
// memory is bounded by MaxPieces.
type Tally struct {
	have map[int]bool
	last int // number of the last piece; 0: not known yet
}

// Add counts a piece; again does no harm.
func (t *Tally) Add(h Header) {
	if t.have == nil {
		t.have = make(map[int]bool)
	}
	t.have[h.Number] = true
	if h.Last {
		t.last = h.Number
	}
}

// Missing returns the pieces that are known to exist and have not been counted,
// in order, and whether the bundle's last piece is among those counted: until
// it is, there may be more.
func (t *Tally) Missing() (numbers []int, ended bool) {
	top := t.last
	for n := range t.have {
		top = max(top, n)
	}
	for n := 1; n < top; n++ {
		if !t.have[n] {
			numbers = append(numbers, n)
		}
	}
	return numbers, t.last != 0
}
