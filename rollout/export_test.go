package rollout

import "context"

// RaceEnabled says that the tests run with the race detector.
const RaceEnabled = raceEnabled

// Tick has the driver of a rollout take one turn now, for benchmarks.
func (e *Engine) Tick(ctx context.Context, id ID) error {
	d := e.driver(id)
	if d == nil {
		return ErrNotFound
	}
	d.turn(ctx)
	return nil
}
