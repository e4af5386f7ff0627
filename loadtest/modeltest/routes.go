package modeltest

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// New returns a server of the model. It returns the errors of [Config.Validate].
func New(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg.withDefaults(), lm: sharedModel(), started: time.Now()}
	handle := func(method, path string, h http.HandlerFunc) {
		s.mux.Handle(path, allow(method, h))
	}
	handle(http.MethodPost, "/v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { s.complete(w, r, true) })
	handle(http.MethodPost, "/v1/completions", func(w http.ResponseWriter, r *http.Request) { s.complete(w, r, false) })
	handle(http.MethodGet, "/v1/models", s.listModels)
	handle(http.MethodGet, "/v1/models/{model}", s.getModel)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		e := badRequest("", "Unknown request URL: %s %s.", r.Method, r.URL.Path)
		e.status = http.StatusNotFound
		e.write(w)
	})
	return s, nil
}

// allow passes on requests with one method and answers the others with an error
// in the form of the OpenAI API, unlike a ServeMux with a method in its pattern.
func allow(method string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			e := badRequest("", "Not allowed to %s on %s, only to %s.", r.Method, r.URL.Path, method)
			e.status = http.StatusMethodNotAllowed
			e.write(w)
			return
		}
		next(w, r)
	}
}

// complete answers a chat or a text completion.
func (s *Server) complete(w http.ResponseWriter, r *http.Request, chat bool) {
	began := time.Now()
	req, bad := s.read(w, r, chat)
	if bad != nil {
		bad.write(w)
		return
	}
	arrival := s.arrivals.Add(1)
	l := s.cfg.faults(arrival)
	if l.serverError {
		serverError().write(w)
		return
	}
	t := &responder{
		server: s, request: req, faults: l, answer: s.answer(req, l),
		clock: schedule{due: began},
		base:  reply{ID: fmt.Sprintf("cmpl-%016x", l.rng.Uint64()), Object: "text_completion", Created: began.Unix(), Model: req.Model},
	}
	if chat {
		t.base.ID, t.base.Object = "chat"+t.base.ID, "chat.completion"
	}
	// A fault happens after the first token and before the last one, so that
	// part of the answer is sent and part is lost.
	t.faultAt = 1 + l.rng.IntN(max(1, len(t.answer.tokens)-1))
	if req.Stream {
		t.stream(r.Context(), w)
	} else {
		t.whole(r.Context(), w)
	}
}

func (s *Server) listModels(w http.ResponseWriter, _ *http.Request) {
	list := struct {
		Object string  `json:"object"`
		Data   []model `json:"data"`
	}{Object: "list"}
	for _, name := range s.cfg.Models {
		list.Data = append(list.Data, s.model(name))
	}
	writeJSON(w, http.StatusOK, encode(list))
}

func (s *Server) getModel(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("model")
	if !slices.Contains(s.cfg.Models, name) {
		unknownModel(name).write(w)
		return
	}
	writeJSON(w, http.StatusOK, encode(s.model(name)))
}

func (s *Server) model(name string) model {
	return model{ID: name, Object: "model", Created: s.started.Unix(), OwnedBy: "serin"}
}
