package bench

import (
	"slices"
	"time"
)

// quantile returns the value below which a share q of the samples lies; 0 of
// none.
func quantile(ds []time.Duration, q float64) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	s := slices.Clone(ds)
	slices.Sort(s)
	return s[min(len(s)-1, int(q*float64(len(s))))]
}

func median(ds []time.Duration) time.Duration { return quantile(ds, 0.5) }

// ms is a duration in milliseconds, for reports.
func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
