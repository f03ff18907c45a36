package station

import (
	"sync"
	"syscall"
	"time"
)

// Reserve on the disk, for one's own words and receipts: others' entries that
// are not urgent are left with their senders when less than this is free, or
// less than a twentieth of a small disk (spec 08 §8).
const (
	reserveBytes = 64 << 20
	reserveShare = 20
)

// room tells whether the folder's disk has space for others' entries. It looks
// at most once a second.
type room struct {
	dir string
	now func() time.Time

	mu sync.Mutex
	at time.Time
	ok bool
}

func (r *room) enough() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if d := now.Sub(r.at); d >= 0 && d < time.Second {
		return r.ok
	}
	r.at, r.ok = now, true // where the system does not tell, the store will
	var fs syscall.Statfs_t
	if syscall.Statfs(r.dir, &fs) == nil {
		free, all := fs.Bavail*uint64(fs.Bsize), fs.Blocks*uint64(fs.Bsize)
		r.ok = free >= min(reserveBytes, all/reserveShare)
	}
	return r.ok
}
