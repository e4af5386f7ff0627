package rollout

import (
	"context"
	"fmt"
)

// TwinError means that another process uses this one's [Config.Replica], which must be
// unique. The other process was first: it holds the lease of Target. As long as it
// renews the lease, this process does not lead, its evidence does not count, and it gives
// the candidate no traffic. It carries out commands. [Engine.Health] returns the error. It
// may take a third of [Config.Lease] until a twin is seen. A process that starts again
// under its name after a crash leads after one lease.
type TwinError struct {
	Replica string `json:"replica"`
	Target  string `json:"target"`
	// Life identifies the process that was first; Host and PID are what it says of
	// itself.
	Life string `json:"life"`
	Host string `json:"host,omitempty"`
	PID  int    `json:"pid,omitempty"`
}

func (e *TwinError) Error() string {
	return fmt.Sprintf("rollout: Config.Replica %q is the name of another process, %d on host %q, which leads target %s (life %s); give each process a name of its own", e.Replica, e.PID, e.Host, e.Target, e.Life)
}

// twin reports whether another process of this one's name holds the lease and lives.
func (m *member) twin(ctx context.Context) bool {
	there := m.lease.twin
	state := m.e.states[m.target]
	if there == nil {
		if state.twinned(nil) {
			m.e.cfg.Logger.InfoContext(ctx, "replica name is unique again", "target", m.target, "replica", m.e.cfg.Replica)
		}
		return false
	}
	err := &TwinError{Replica: m.e.cfg.Replica, Target: m.target, Life: there.Life, Host: there.Host, PID: there.PID}
	state.twinned(err)
	m.e.cfg.Logger.ErrorContext(ctx, "replica name is used twice; this process does not lead, and the baseline serves", "target", m.target, "replica", m.e.cfg.Replica, "error", err)
	return true
}
