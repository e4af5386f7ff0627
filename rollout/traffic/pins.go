package traffic

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"

	"github.com/serin-go/serin/checks/analysis/answer"
	"github.com/serin-go/serin/internal/origin"
)

// pins remembers the arms that made ids, in its own table or in a shared one.
type pins struct {
	shared Sticky
	own    pinTable
}

// pinPrefix begins the keys of ids in a shared table.
const pinPrefix = "pin:"

// armOf returns the name of the arm that made an id.
func (p *pins) armOf(id string) (arm string, ok bool) {
	h := hashID(idKey(id))
	if p.shared == nil {
		return p.own.get(h)
	}
	arm, _, ok = p.shared.Get(pinPrefix + hex.EncodeToString(h[:]))
	return arm, ok
}

// put remembers that an arm has made an id.
func (p *pins) put(id string, a *arm) {
	h := hashID(idKey(id))
	switch {
	case p.shared == nil:
		p.own.put(h, a)
	case !a.gone.Load():
		p.shared.Put(pinPrefix+hex.EncodeToString(h[:]), a.name, 0)
	}
}

// account identifies whose files and ids an arm has. Accounts are compared, and are
// never shown, since they may come from a credential.
type account [sha256.Size]byte

// accountOf returns the account of an arm whose header is in canonical spelling.
func (a *arm) accountOf() account {
	h := sha256.New()
	write := func(parts ...string) {
		for _, s := range parts {
			_, _ = h.Write([]byte(s)) // a hash has no errors
			_, _ = h.Write([]byte{0})
		}
	}
	switch {
	case a.backend.Account != "":
		write("account", a.backend.Account)
	case a.upstream != nil:
		write("url", origin.Of(a.upstream.base))
		for _, name := range credentialHeaders {
			write(a.backend.Header[name]...)
			write("")
		}
	default:
		write("arm", a.name)
	}
	return account(h.Sum(nil))
}

// serves reports whether the split gives requests to an arm, by weight or by a rule,
// or falls back to it.
func (t *table) serves(a *arm) bool {
	i := slices.Index(t.arms, a)
	switch {
	case i < 0 || t.out != nil && t.out[i]:
		return false
	case i == 0 || t.split.Arms[i].Weight > 0:
		return true
	}
	return slices.ContainsFunc(t.rules, func(rl rule) bool { return rl.arm == a })
}

// bindPins notes in a table whether ids decide about arms. The arms are all that there
// are, and are not changed.
func (t *table) bindPins(arms map[string]*arm) {
	t.all = arms
	differ := func(chosen func(*arm) bool) bool {
		var first *arm
		for _, a := range arms {
			switch {
			case !chosen(a):
			case first == nil:
				first = a
			case a.account != first.account:
				return true
			}
		}
		return false
	}
	t.pinned = differ(func(*arm) bool { return true })
	t.apart = t.pinned && differ(t.serves)
}

// keeper returns the arm that keeps the resource which a request is about, nil if that
// is not known. An id in the path decides, and otherwise those in the body, which is
// nil if it is not looked at: what is made from them is made by an arm that serves.
func (r *Router) keeper(t *table, req *http.Request, body *payload, stale bool) (a *arm) {
	eachID(req.URL.Path, func(id string) bool {
		if name, ok := r.pins.armOf(id); ok {
			a = t.all[name]
		}
		return a != nil
	})
	if a != nil || stale || body == nil || body.empty() || req.Method == http.MethodGet {
		return a
	}
	if v := req.Header["Content-Type"]; len(v) == 0 || answer.FormOf(v[0]) != answer.Document {
		return nil
	}
	held := share{memory: &r.bodies}
	defer held.end()
	data, ok, err := body.bytes(r.maxBody, &held)
	if !ok || err != nil {
		return nil
	}
	for _, id := range idsIn(data) {
		if name, ok := r.pins.armOf(id); ok && t.all[name] != nil && t.serves(t.all[name]) {
			return t.all[name]
		}
	}
	return nil
}

// mayContinue reports whether a request continues something, or may do so because its
// body was not read. Of these only responses are continued as a rule, so that a large
// request to another interface goes by weight.
func mayContinue(ask *answer.Ask) bool {
	return ask.After != "" || !ask.Read && ask.Route.API == answer.Responses && ask.Route.Kind == answer.Inference
}

// follow returns the arm of a request that continues what an id names: the arm that
// made it, or one that shares its account; the baseline if no arm that serves is
// known to have made it, as of "". It returns nil if there is no such arm.
func (r *Router) follow(t *table, s *subject, id string) *arm {
	if id == "" {
		return t.baseline()
	}
	name, ok := r.pins.armOf(id)
	maker := t.all[name]
	if !ok || maker == nil || !t.serves(maker) {
		return t.baseline()
	}
	s.keep = false
	if a := t.place(s, false).arm; a != nil && a.account == maker.account {
		return a
	}
	return maker
}
