package alert

import "time"

// PlanForBenchmark plans on a copy of the state, without an effect.
func (m *Manager) PlanForBenchmark(at time.Time) { m.plan(m.doc.Load().clone(), at) }
