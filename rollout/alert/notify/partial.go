package notify

import (
	"fmt"

	"github.com/serin-go/serin/rollout"
)

// partial means that a part of a message was not taken. The others were.
type partial struct {
	err     error // of the first part
	more    int   // further parts
	refused []string
}

func (p *partial) Error() string {
	if p.more == 0 {
		return p.err.Error()
	}
	return fmt.Sprintf("%v (and %d more)", p.err, p.more)
}

func (p *partial) Unwrap() error { return p.err }

// Refused returns the keys of the alerts that were not taken; see [alert.Notifier].
func (p *partial) Refused() []string { return p.refused }

// parts collects the errors of the parts of a message.
type parts struct {
	refused []string
	final   []error // that no repetition mends
	others  []error
}

func (p *parts) add(key string, err error) {
	switch {
	case err == nil:
		return
	case rollout.IsPermanent(err):
		p.final = append(p.final, err)
	default:
		p.others = append(p.others, err)
	}
	p.refused = append(p.refused, key)
}

// err is permanent if all errors are.
func (p *parts) err() error {
	list := append(p.others, p.final...)
	if len(list) == 0 {
		return nil
	}
	return &partial{list[0], len(list) - 1, p.refused}
}
