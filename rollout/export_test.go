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

// SeeEpoch shows the driver of a target a document of a later epoch, as a command does
// that reads the store first. It reports whether the driver led before, and still leads.
func (e *Engine) SeeEpoch(ctx context.Context, target string) (led, leads bool) {
	d := e.current(target)
	d.lock()
	defer d.unlock()
	led = d.role == leader
	later := *d.doc
	later.Notes, later.Epoch = later.Notes+1, later.Epoch+1
	d.adopt(ctx, &later, "another", d.rev)
	return led, d.role == leader
}
