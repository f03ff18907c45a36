package session

import "context"

// AwaitDelivered waits until every other party has stated that it durably
// holds own entries below a size, and that word is durable here. It returns
// the size that they have stated, which may be greater.
func (l *Line) AwaitDelivered(ctx context.Context, below uint64) (uint64, error) {
	for {
		_, changed := l.Changed()
		size, err := l.Delivered(ctx)
		if err != nil || size >= below {
			return size, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return size, ctx.Err()
		case <-l.closed:
			return size, context.Canceled
		}
	}
}

// Delivered returns the size below which every other party has stated that it
// durably holds this station's own log. The word is durable here.
func (l *Line) Delivered(ctx context.Context) (uint64, error) {
	size := ^uint64(0)
	err := l.do(ctx, func(t *turn) error {
		t.then(func(error) {
			own := l.own()
			for p := range l.cfg.Line.Members {
				if p != l.cfg.Line.Self {
					size = min(size, l.st.Delivered(own, p))
				}
			}
		})
		return nil
	})
	if err != nil {
		return 0, err
	}
	return size, nil
}
