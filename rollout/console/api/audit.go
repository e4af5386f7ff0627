package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/serin-go/serin/internal/visible"
	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/audit"
	"github.com/serin-go/serin/rollout/console/client"
)

// trail returns the audit trail of the target that a path names.
func (s *Server) trail(r *request, what rollout.Action) (*audit.Log, error) {
	target := r.PathValue("target")
	if err := s.must(r, what, target); err != nil {
		return nil, err
	}
	names, err := s.targets(r.Context())
	if err != nil {
		return nil, err
	}
	if !slices.Contains(names, target) {
		return nil, missing()
	}
	return s.log(r.Context(), target)
}

// maxProblems bounds the entries that a verification names.
const maxProblems = 100

// verify answers GET /audit/{target}/verify.
func (s *Server) verify(r *request) (*answer, error) {
	log, err := s.trail(r, actionReadAudit)
	if err != nil {
		return nil, err
	}
	out := client.Verification{Target: r.PathValue("target"), At: time.Now().UTC().Round(0), Events: log.Len(), Archived: log.Archived()}
	if root, err := log.Root(log.Size()); err == nil {
		out.Root = root.String()
	}
	err = log.Verify()
	out.Sound = err == nil
	for _, one := range unjoin(err) {
		if len(out.Problems) < maxProblems {
			out.Problems = append(out.Problems, visible.Line(one.Error()))
		}
	}
	return &answer{body: out}, nil
}

// unjoin returns the errors that err joins.
func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// export answers GET /audit/{target}/export.
func (s *Server) export(w http.ResponseWriter, r *request) error {
	log, err := s.trail(r, actionExport)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/jsonl")
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", r.PathValue("target")+".jsonl"))
	if err := log.WriteJSONL(w); err != nil {
		panic(http.ErrAbortHandler) // an export that was cut must not look whole
	}
	return nil
}

// checkpoint answers GET /audit/{target}/checkpoint.
func (s *Server) checkpoint(r *request) (*answer, error) {
	log, err := s.trail(r, actionReadAudit)
	if err != nil {
		return nil, err
	}
	if s.cfg.Signer == nil {
		return nil, missing()
	}
	signed, err := log.Checkpoint(s.cfg.Signer)
	if err != nil {
		return nil, err
	}
	return &answer{raw: signed, kind: "text/plain; charset=utf-8"}, nil
}

// maxLetters bounds the dead letters of an answer.
const maxLetters = 1_000

// deadLetters answers GET /deadletters.
func (s *Server) deadLetters(r *request) (*answer, error) {
	out := struct {
		DeadLetters []client.DeadLetter `json:"dead_letters"`
	}{[]client.DeadLetter{}}
	for l, err := range rollout.DeadLetters(r.Context(), s.cfg.Store) {
		if err != nil {
			if errors.Is(err, rollout.ErrDamaged) {
				continue // the others can be read
			}
			return nil, err
		}
		if !s.may(r, actionReadAudit, l.Event.Rollout.Target()) {
			continue
		}
		if len(out.DeadLetters) == maxLetters {
			break
		}
		out.DeadLetters = append(out.DeadLetters, client.DeadLetter{
			Sink: visible.Line(l.Sink), Key: l.Event.Key(), Event: eventOf(l.Event), Error: visible.Line(l.Error), Attempts: l.Attempts, At: l.At,
		})
	}
	return &answer{body: out}, nil
}

// redeliver answers POST /deadletters.
func (s *Server) redeliver(r *request) (*answer, error) {
	var in struct {
		Sink string `json:"sink"`
		Key  string `json:"key"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	target, err := s.letter(r, in.Sink, in.Key)
	if err != nil {
		return nil, err
	}
	if err := s.must(r, rollout.ActionConfigure, target); err != nil {
		return nil, err
	}
	e, ok := s.cfg.Engine.(interface {
		Redeliver(ctx context.Context, sink, key string) error
	})
	if !ok {
		return nil, fault(client.Refused, "this server has no sinks")
	}
	if err := e.Redeliver(r.Context(), in.Sink, in.Key); err != nil {
		return nil, err
	}
	return &answer{status: http.StatusNoContent}, nil
}

// letter returns the target of a dead letter.
func (s *Server) letter(r *request, sink, key string) (string, error) {
	for l, err := range rollout.DeadLetters(r.Context(), s.cfg.Store) {
		if err != nil && !errors.Is(err, rollout.ErrDamaged) {
			return "", err
		}
		if err == nil && l.Sink == sink && l.Event.Key() == key {
			return l.Event.Rollout.Target(), nil
		}
	}
	return "", missing()
}
