package traffic_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/rollout/traffic"
	"github.com/serin-go/serin/strategies"
)

// vault is a server that keeps what it makes: files, batches and responses. What it
// did not make it does not know.
type vault struct {
	name string
	mu   sync.Mutex
	made map[string]bool
	// next, if not "", is the answer to the next request that makes something.
	next string
}

func newVault(name string) *vault { return &vault{name: name, made: make(map[string]bool)} }

// make returns a new id.
func (v *vault) make(kind string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	id := fmt.Sprintf("%s_%s%d", kind, v.name, len(v.made))
	v.made[id] = true
	return id
}

func (v *vault) has(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.made[id]
}

func (v *vault) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var ask struct {
		Previous  string `json:"previous_response_id"`
		InputFile string `json:"input_file_id"`
		Stream    bool
	}
	if strings.HasPrefix(req.Header.Get("Content-Type"), "application/json") {
		_ = json.NewDecoder(req.Body).Decode(&ask)
	}
	_, _ = io.Copy(io.Discard, req.Body)
	for _, id := range []string{ask.Previous, ask.InputFile} {
		if id != "" && !v.has(id) {
			http.Error(w, `{"error":{"message":"not found"}}`, http.StatusNotFound)
			return
		}
	}
	if req.Method == http.MethodPost && v.next != "" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, v.next)
		return
	}
	switch segments := strings.Split(strings.Trim(req.URL.Path, "/"), "/"); {
	case req.Method != http.MethodPost || len(segments) > 2:
		if len(segments) > 2 && !v.has(segments[2]) {
			http.Error(w, `{"error":{"message":"not found"}}`, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"thing"}`)
	case segments[1] == "responses" && ask.Stream:
		id := v.make("resp")
		stream(w, `event: response.created`+"\n"+`data: {"type":"response.created","response":{"object":"response","id":"`+id+`","status":"in_progress","output":[]}}`+"\n\n",
			`data: {"type":"response.output_text.delta","delta":"Hi"}`+"\n\n",
			`data: {"type":"response.completed","response":{"id":"`+id+`","object":"response","status":"completed","output":[{"id":"msg_1","type":"message","content":[{"type":"output_text","text":"Hi"}]}]}}`+"\n\n")
	case segments[1] == "responses":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"object":"response","output":[{"id":"msg_1","type":"message","content":[{"type":"output_text","text":"Hi"}]}],"status":"completed","id":%q}`, v.make("resp"))
	default:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"object":"thing","owner":{"id":"x1"},"id":%q}`, v.make(segments[1]))
	}
}

// pinned serves a router between two servers that keep what they make.
type pinned struct {
	*traffic.Router
	old, new *vault
	diary    *diary
	exposed  func() traffic.Exposure // the last one
}

func newPinned(t testing.TB, change func(*traffic.Config)) *pinned {
	t.Helper()
	p := &pinned{old: newVault("old"), new: newVault("new")}
	var mu sync.Mutex
	var last traffic.Exposure
	p.exposed = func() traffic.Exposure { mu.Lock(); defer mu.Unlock(); return last }
	p.Router, p.diary = newRouter(t, serve(t, p.old.ServeHTTP), serve(t, p.new.ServeHTTP), func(c *traffic.Config) {
		c.Exposed = func(e traffic.Exposure) { mu.Lock(); defer mu.Unlock(); last = e }
		if change != nil {
			change(c)
		}
	})
	return p
}

var shapes = []string{"handler", "transport"}

// send sends a request in a shape and returns what its caller got.
func (p *pinned) send(t testing.TB, shape, method, path, body string, header ...string) (got answer, id string) {
	t.Helper()
	req := httptest.NewRequest(method, "http://gateway"+path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if shape == "handler" {
		w := httptest.NewRecorder()
		p.ServeHTTP(w, req)
		got = read(w.Result())
	} else {
		req.RequestURI = ""
		resp, err := p.RoundTripper().RoundTrip(req)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		got = read(resp)
	}
	var made struct {
		ID       string
		Response struct{ ID string }
	}
	first, _, _ := strings.Cut(got.body[strings.IndexByte(got.body, '{')*min(1, strings.Count(got.body, "{")):], "\n")
	_ = json.Unmarshal([]byte(first), &made)
	return got, made.ID + made.Response.ID
}

func (p *pinned) split(t testing.TB, s strategies.Split) {
	t.Helper()
	if err := p.SetSplit(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

// TestFilesStayAtTheirArm: a file is where it was made, whatever becomes of the
// weights and of the baseline.
func TestFilesStayAtTheirArm(t *testing.T) {
	for _, shape := range shapes {
		p := newPinned(t, func(c *traffic.Config) { c.Split = split(1, 5000) })
		got, file := p.send(t, shape, "POST", "/v1/files", "{}")
		if got.status != 200 || got.version != "old" || file == "" {
			t.Fatalf("%s: the file was made by %+v", shape, got)
		}
		for i, s := range []strategies.Split{
			split(1, 5000), split(2, 9_900), split(3, strategies.Full),
			{Generation: 4, Arms: []strategies.Arm{{Name: "new", Weight: strategies.Full}, {Name: "old"}}},
			{Generation: 5, Arms: []strategies.Arm{{Name: "new", Weight: strategies.Full}}},
		} {
			p.split(t, s)
			for n := range 100 {
				path := "/v1/files/" + file + []string{"", "/content", "/"}[n%3]
				if got, _ := p.send(t, shape, "GET", path, "", traffic.UnitHeader, fmt.Sprint(n)); got.status != 200 || got.version != "old" {
					t.Fatalf("%s, split %d: GET %s: %+v", shape, i, path, got)
				}
			}
			want := traffic.ByRoute
			if i > 2 {
				want = traffic.ByPin
			}
			if e := p.exposed(); e.Reason != want || e.Served != "old" {
				t.Errorf("%s, split %d: %+v", shape, i, e)
			}
			if got, _ := p.send(t, shape, "GET", "/v1/files/file-Unknown1", ""); got.version != s.Baseline() || got.status != 404 {
				t.Errorf("%s, split %d: a file that is not known: %+v", shape, i, got)
			}
		}
		if got, batch := p.send(t, shape, "POST", "/v1/batches", `{"input_file_id":"`+file+`"}`); got.version != "new" || got.status != 404 || batch != "" {
			t.Errorf("%s: an arm without traffic was given work: %+v", shape, got)
		}
		idle(t, p.Router)
	}
}

// TestConversationsStayAtTheirArm while the weights move; their requests are measured
// and are not compared.
func TestConversationsStayAtTheirArm(t *testing.T) {
	for _, shape := range shapes {
		for _, body := range []string{`{"input":"hi"`, `{"stream":true,"input":"hi"`} {
			p := newPinned(t, func(c *traffic.Config) { c.Split = split(1, 500) })
			rec, err := analysis.NewRecorder(analysis.Plan{}, "old", "new")
			if err != nil {
				t.Fatal(err)
			}
			p.Measure(rec)
			type talk struct{ arm, id string }
			talks := make([]talk, 60)
			began, n := map[string]int{}, 0
			for turn := range 5 {
				p.split(t, split(uint64(turn+2), []strategies.Weight{500, 500, 2000, 3500, 5000}[turn]))
				for i := range talks {
					c := &talks[i]
					ask := body + "}"
					if turn > 0 {
						ask = body + `,"previous_response_id":"` + c.id + `"}`
					}
					got, id := p.send(t, shape, "POST", "/v1/responses", ask) // each turn is a unit of its own
					n++
					if got.status != 200 || id == "" || turn > 0 && got.version != c.arm {
						t.Fatalf("%s: turn %d at %q: %+v", shape, turn, c.arm, got)
					}
					if want := traffic.ByPin; (p.exposed().Reason == want) != (turn > 0) {
						t.Errorf("%s: turn %d: %+v", shape, turn, p.exposed())
					}
					if turn == 0 {
						began[got.version]++
					}
					*c = talk{got.version, id}
				}
			}
			if began["old"] == 0 {
				t.Errorf("%s: conversations began at %v", shape, began)
			}
			for _, o := range p.diary.wait(t, n) {
				if o.Class != analysis.OK || o.Cost == 0 {
					t.Errorf("%s: %+v", shape, o)
				}
			}
			for arm, want := range began {
				if s, err := rec.Summary(arm); err != nil || s.Requests != want {
					t.Errorf("%s: %d requests at %s are compared (%v), want the first turns: %d", shape, s.Requests, arm, err, want)
				}
			}
			idle(t, p.Router)
		}
	}
}

// TestWhereIDsLead: each request goes where what it names is, or to the baseline.
func TestWhereIDsLead(t *testing.T) {
	const weigh = "weigh" // the arm that the weights give it: new
	other := func(c *traffic.Config) {}
	shared := func(c *traffic.Config) {
		for name, b := range c.Arms {
			b.Account = "ours"
			c.Arms[name] = b
		}
	}
	small := func(c *traffic.Config) { c.MaxBody = 1 << 10 }
	long := strings.Repeat("x", 2<<10)
	const gemini = "/v1beta/models/m:generateContent"
	kill := func(p *pinned) { _ = p.Kill("new") }
	zero := func(p *pinned) { _ = p.SetSplit(context.Background(), split(9, 0)) }
	expire := func(p *pinned) { p.Expire(time.Now().Add(-time.Second)) }
	none := func(*pinned) {}
	// {old} and {new} stand for the ids of responses that the arms made.
	for name, tt := range map[string]struct {
		change             func(*traffic.Config)
		then               func(*pinned)
		method, path, body string
		header             []string
		want               string
		why                traffic.Reason
	}{
		"a new question":                    {other, none, "POST", "/v1/responses", `{"input":"x"}`, nil, weigh, traffic.ByWeight},
		"continues an answer of old":        {other, none, "POST", "/v1/responses", `{"previous_response_id":"{old}"}`, nil, "old", traffic.ByPin},
		"continues an answer of new":        {other, none, "POST", "/v1/responses", `{"previous_response_id":"{new}"}`, nil, "new", traffic.ByPin},
		"continues what is not known":       {other, none, "POST", "/v1/responses", `{"previous_response_id":"resp_X"}`, nil, "old", traffic.ByPin},
		"a file in a chat":                  {other, none, "POST", chat, `{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"{old}"}}]}]}`, nil, "old", traffic.ByPin},
		"a file in a chat that is unknown":  {other, none, "POST", chat, `{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-X1"}}]}]}`, nil, "old", traffic.ByPin},
		"a file of Gemini":                  {other, none, "POST", gemini, `{"contents":[{"parts":[{"text":"x"},{"fileData":{"fileUri":"{old}"}}]}]}`, nil, "old", traffic.ByPin},
		"a file of Gemini, snake case":      {other, none, "POST", gemini, `{"contents":[{"parts":[{"file_data":{"file_uri":"{new}"}}]}]}`, nil, "new", traffic.ByPin},
		"a file in a result of a tool":      {other, none, "POST", "/v1/messages", `{"messages":[{"content":[{"type":"tool_result","content":[{"type":"document","source":{"type":"file","file_id":"{old}"}}]}]}]}`, nil, "old", traffic.ByPin},
		"a file of a code interpreter":      {other, none, "POST", "/v1/responses", `{"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["{old}"]}}]}`, nil, "old", traffic.ByPin},
		"a store of files that is searched": {other, none, "POST", "/v1/responses", `{"tools":[{"type":"file_search","vector_store_ids":["{new}"]}]}`, nil, "new", traffic.ByPin},
		"an item that is not known":         {other, none, "POST", "/v1/responses", `{"input":[{"type":"item_reference","id":"msg_1"}]}`, nil, "old", traffic.ByPin},
		"a response above MaxBody":          {small, none, "POST", "/v1/responses", `{"previous_response_id":"{new}","input":"` + long + `"}`, nil, "old", traffic.ByPin},
		"a response that is no JSON":        {other, none, "POST", "/v1/responses", `{"input":"x"}`, []string{"Content-Type", "text/plain"}, "old", traffic.ByPin},
		"a chat above MaxBody":              {small, none, "POST", chat, `{"messages":[{"content":"` + long + `"}]}`, nil, weigh, traffic.ByWeight},
		"one account, above MaxBody":        {func(c *traffic.Config) { small(c); shared(c) }, none, "POST", "/v1/responses", `{"input":"` + long + `"}`, nil, weigh, traffic.ByWeight},
		"reads an answer of new":            {other, none, "GET", "/v1/responses/{new}", "", nil, "new", traffic.ByPin},
		"deletes an answer of new":          {other, none, "DELETE", "/v1/responses/{new}", "", nil, "new", traffic.ByPin},
		"cancels an answer of new":          {other, none, "POST", "/v1/responses/{new}/cancel", "", nil, "new", traffic.ByPin},
		"below a prefix":                    {other, none, "GET", "/openai/v1/responses/{new}/input_items", "", nil, "new", traffic.ByPin},
		"reads an answer of old":            {other, none, "GET", "/v1/responses/{old}", "", nil, "old", traffic.ByRoute},
		"a list":                            {other, none, "GET", "/v1/batches", "", nil, "old", traffic.ByRoute},
		"a batch of new's file":             {other, none, "POST", "/v1/batches", `{"endpoint":"/v1/x","input_file_id":"{new}"}`, nil, "new", traffic.ByPin},
		"a batch of a file not known":       {other, none, "POST", "/v1/batches", `{"input_file_id":"file-X1"}`, nil, "old", traffic.ByRoute},
		"a training":                        {other, none, "POST", "/v1/fine_tuning/jobs", `{"training_file":"{new}"}`, nil, "new", traffic.ByPin},
		"a store of files":                  {other, none, "POST", "/v1/vector_stores", `{"name":"{new}","file_ids":["file-X1","{new}"]}`, nil, "new", traffic.ByPin},
		"an id in a member like any other":  {other, none, "POST", "/v1/vector_stores", `{"name":"{new}","metadata":{"file_id":"{new}"}}`, nil, "old", traffic.ByRoute},
		"a body that is no JSON":            {other, none, "POST", "/v1/batches", `{"input_file_id":"{new}"}`, []string{"Content-Type", "text/plain"}, "old", traffic.ByRoute},
		"a broken body":                     {other, none, "POST", "/v1/batches", `{"input_file_id":`, nil, "old", traffic.ByRoute},
		"the path goes before the body":     {other, none, "POST", "/v1/responses/{old}/x", `{"input_file_id":"{new}"}`, nil, "old", traffic.ByRoute},
		"forced elsewhere":                  {other, none, "POST", "/v1/responses", `{"previous_response_id":"{old}"}`, []string{traffic.ArmHeader, "new"}, "new", traffic.ByForce},
		"a rule says otherwise":             {func(c *traffic.Config) { c.Split.Rules = []strategies.Rule{{Header: "X", Arm: "old"}} }, none, "POST", "/v1/responses", `{"previous_response_id":"{new}"}`, []string{"X", "1"}, "new", traffic.ByPin},
		"a path like an answer's":           {other, none, "GET", "/v1/odd/{old}", "", nil, weigh, traffic.ByWeight},
		"a path that is long":               {other, none, "GET", "/v1/responses/{new}/" + strings.Repeat("x", 3000), "", nil, "old", traffic.ByRoute},
		"a path of many segments":           {other, none, "GET", "/v1/responses" + strings.Repeat("/x1", 600) + "/{new}", "", nil, "old", traffic.ByRoute},

		"one account":                    {shared, none, "POST", "/v1/responses", `{"previous_response_id":"{old}"}`, nil, weigh, traffic.ByWeight},
		"one account, not known":         {shared, none, "POST", "/v1/responses", `{"previous_response_id":"resp_X"}`, nil, weigh, traffic.ByWeight},
		"one account, reads":             {shared, none, "GET", "/v1/responses/{new}", "", nil, "old", traffic.ByRoute},
		"killed, continues":              {other, kill, "POST", "/v1/responses", `{"previous_response_id":"{new}"}`, nil, "old", traffic.ByKill},
		"killed, reads":                  {other, kill, "GET", "/v1/responses/{new}", "", nil, "new", traffic.ByPin},
		"killed, makes":                  {other, kill, "POST", "/v1/batches", `{"input_file_id":"{new}"}`, nil, "old", traffic.ByRoute},
		"no traffic, continues":          {other, zero, "POST", "/v1/responses", `{"previous_response_id":"{new}"}`, nil, "old", traffic.ByWeight},
		"no traffic, reads":              {other, zero, "GET", "/v1/responses/{new}", "", nil, "new", traffic.ByPin},
		"no traffic, makes":              {other, zero, "POST", "/v1/batches", `{"input_file_id":"{new}"}`, nil, "old", traffic.ByRoute},
		"expired, continues":             {other, expire, "POST", "/v1/responses", `{"previous_response_id":"{new}"}`, nil, "old", traffic.ByExpiry},
		"expired, reads":                 {other, expire, "GET", "/v1/responses/{new}", "", nil, "new", traffic.ByPin},
		"expired, makes":                 {other, expire, "POST", "/v1/batches", `{"input_file_id":"{new}"}`, nil, "old", traffic.ByRoute},
		"expired, a new question":        {other, expire, "POST", "/v1/responses", `{"input":"x"}`, nil, "old", traffic.ByExpiry},
		"baseline without traffic":       {other, none, "POST", "/v1/responses", `{"previous_response_id":"{old}"}`, []string{traffic.UnitHeader, "ana"}, "old", traffic.ByPin},
		"shut by its route, not its id":  {other, none, "POST", "/v1/sleep", `{"input_file_id":"{new}"}`, nil, "", traffic.ByRoute},
		"a transcript, which keeps none": {other, none, "POST", "/v1/embeddings", `{"input":"{new}"}`, nil, weigh, traffic.ByWeight},
		"the head of an answer":          {other, none, "HEAD", "/v1/responses/{old}", "", nil, "old", traffic.ByRoute},
	} {
		for _, shape := range shapes {
			if tt.want == "" && shape == "transport" {
				continue // a service may
			}
			p := newPinned(t, func(c *traffic.Config) {
				c.MayForce = func(*http.Request, string) bool { return true }
				c.NoFallback = true
				tt.change(c)
			})
			_, ofNew := p.send(t, shape, "POST", "/v1/responses", `{"input":"x"}`, traffic.ArmHeader, "new")
			_, ofOld := p.send(t, shape, "POST", "/v1/responses", `{"input":"x"}`, traffic.ArmHeader, "old")
			if !p.new.has(ofNew) || !p.old.has(ofOld) {
				t.Fatalf("%s, %s: responses %q and %q", name, shape, ofOld, ofNew)
			}
			tt.then(p)
			ids := strings.NewReplacer("{old}", ofOld, "{new}", ofNew)
			got, _ := p.send(t, shape, tt.method, ids.Replace(tt.path), ids.Replace(tt.body), tt.header...)
			want := tt.want
			if want == weigh {
				want = "new"
			}
			if got.version != want || want != "" && tt.method != "HEAD" && p.exposed().Reason != tt.why {
				t.Errorf("%s, %s: served by %q (%d), %v; want %q, %v", name, shape, got.version, got.status, p.exposed().Reason, want, tt.why)
			}
			idle(t, p.Router)
		}
	}
}

// TestIDsOfAnswers: an id is remembered if it is one, wherever it stands, and however
// the answer is cut.
func TestIDsOfAnswers(t *testing.T) {
	const keyed = `"id":"resp_1a"`
	long := strings.Repeat("x", 1<<20) + "1"
	for name, tt := range map[string]struct {
		path, method, kind, coding string
		status                     int
		answer                     string
		id                         string // that is asked about, "resp_1a" if it is empty
		known                      bool
	}{
		"first":                        {answer: `{` + keyed + `,"object":"response"}`, known: true},
		"last, with space":             {answer: " \r\n{ \"object\" : \"response\",\n\"output\":[{\"id\":\"msg_1\"}, [\"id\", \"x1\"]], \"id\" :\t\"resp_1a\" }\n", known: true},
		"written with escapes":         {answer: `{"\u0069d":"resp\u005f1a"}`, known: true},
		"behind strings with brackets": {answer: `{"a":"}{\"id\":\"x1\"","b":"\\",` + keyed + `}`, known: true},
		"of a message":                 {answer: `{"id":"resp_2b","output":[{"id":"resp_1a"}]}`},
		"in another member":            {answer: `{"item":{` + keyed + `}}`},
		"a value, not a name":          {answer: `{"x":"id","resp_1a":1,"y":["id","resp_1a"]}`},
		"a number":                     {answer: `{"id":7}`, id: "7"},
		"null":                         {answer: `{"id":null}`, id: "null"},
		"empty":                        {answer: `{"id":""}`},
		"a word":                       {answer: `{"id":"cancel"}`, id: "cancel"},
		"a megabyte":                   {answer: `{"id":"` + long + `"}`, id: long},
		"beyond 512 bytes":             {answer: `{"id":"` + long[:513] + `"}`, id: long[:513]},
		"of 512 bytes":                 {answer: `{"id":"` + long[:511] + `1"}`, id: long[:511] + "1", known: true},
		"with NUL":                     {answer: `{"id":"resp_1a\u0000"}`, id: "resp_1a%00"},
		"with a broken escape":         {answer: `{"id":"resp_1a\u00"}`, id: "resp_1a"},
		"repeated, the first":          {answer: `{"id":"resp_1a","id":"resp_2b"}`, known: true},
		"repeated, the last":           {answer: `{"id":"resp_2b","id":"resp_1a"}`, known: true},
		"repeated too often":           {answer: `{"id":"a1","id":"a2","id":"a3","id":"a4","id":"resp_1a"}`},
		"beyond 64 KiB":                {answer: `{"a":"` + long[:64<<10] + `",` + keyed + `}`},
		"within 64 KiB":                {answer: `{"a":"` + long[:63<<10] + `",` + keyed + `}`, known: true},
		"behind the document":          {answer: `{"object":"response"}{` + keyed + `}`},
		"in a list":                    {answer: `[{` + keyed + `}]`},
		"not JSON":                     {kind: "text/plain", answer: `{` + keyed + `}`},
		"compressed":                   {coding: "gzip", answer: `{` + keyed + `}`},
		"a failure":                    {status: 500, answer: `{` + keyed + `}`},
		"not kept":                     {method: "POST {\"store\":false}", answer: `{` + keyed + `}`},
		"not kept, but later":          {method: "POST {\"store\":false,\"background\":true}", answer: `{` + keyed + `}`, known: true},
		"a chat":                       {path: chat, answer: `{` + keyed + `}`},
		"a chat that is kept":          {path: chat, method: "POST {\"store\":true}", answer: `{` + keyed + `}`, known: true},
		"in a stream":                  {kind: "text/event-stream", answer: "event: a\r\ndata: {\"response\":{\"object\":\"x\"," + keyed + "}}\r\n\r\n", known: true},
		"in the second event":          {kind: "text/event-stream", answer: ": {hello\n\ndata: [1]\n\ndata: {\"response\":{}}\n\ndata: {\"response\":{" + keyed + "}}\n\n", known: true},
		"in a later event":             {kind: "text/event-stream", answer: "data: {\"type\":\"ping\"}\n\ndata: {\"response\":{" + keyed + "}}\n\n", known: true},
		"only the first of a stream":   {kind: "text/event-stream", answer: "data: {\"response\":{\"id\":\"resp_2b\"}}\n\ndata: {\"response\":{" + keyed + "}}\n\n"},
	} {
		for _, shape := range shapes {
			for _, size := range []int{1, 1 << 20} {
				model := &script{kind: tt.kind, status: tt.status, header: http.Header{}}
				if tt.coding != "" {
					model.header.Set("Content-Encoding", tt.coding)
				}
				if model.kind == "" {
					model.kind = "application/json"
				}
				step := size
				if len(tt.answer) > 1000 {
					step = max(size, 1000)
				}
				for from := 0; from < len(tt.answer); from += step {
					model.chunks = append(model.chunks, tt.answer[from:min(len(tt.answer), from+step)])
				}
				r, _ := scripted(t, model, documentOf("{}"), func(c *traffic.Config) { c.NoFallback = true })
				if err := r.SetSplit(t.Context(), split(8, 0)); err != nil {
					t.Fatal(err)
				}
				path := tt.path
				if path == "" {
					path = "/v1/responses"
				}
				_, body, _ := strings.Cut(tt.method, " ")
				if body == "" {
					body = "{}"
				}
				got := local(r)[shape](t.Context(), path, body)
				if got.body != tt.answer {
					t.Errorf("%s, %s: the caller got %.100q", name, shape, got.body)
				}
				if err := r.SetSplit(t.Context(), strategies.Split{Generation: 9, Arms: []strategies.Arm{{Name: "new", Weight: strategies.Full}}}); err != nil {
					t.Fatal(err)
				}
				id := tt.id
				if id == "" {
					id = "resp_1a"
				}
				about, err := http.NewRequest("GET", "http://gateway/v1/responses/"+id, nil)
				if err != nil {
					t.Fatal(err)
				}
				if arm := r.ArmOf(about); (arm == "old") != tt.known {
					t.Errorf("%s, %s, pieces of %d: the id is looked for at %q, known %t", name, shape, size, arm, tt.known)
				}
			}
		}
	}
}

// TestNamesOfGemini are ids together with what they are names of.
func TestNamesOfGemini(t *testing.T) {
	for made, about := range map[string]string{
		`{"name":"cachedContents/abc"}`:                               "/v1beta/cachedContents/abc",
		`{"file":{"name":"files/abc"}}`:                               "/v1beta/files/abc:download",
		`{"name":"projects/p/locations/l/batchPredictionJobs/7"}`:     "/v1/projects/p/locations/l/batchPredictionJobs/7:cancel",
		`{"id":"upload_1","file":{"id":"file-1","name":"files/abc"}}`: "/v1/files/file-1",
	} {
		p := newPinned(t, nil)
		p.old.next = made
		p.send(t, "handler", "POST", "/v1/files", "{}")
		p.split(t, strategies.Split{Generation: 9, Arms: []strategies.Arm{{Name: "new", Weight: strategies.Full}}})
		if got, _ := p.send(t, "handler", "GET", about, ""); got.version != "old" {
			t.Errorf("%s: %s is looked for at %q", made, about, got.version)
		}
		if got, _ := p.send(t, "handler", "GET", "/v1/files/abd", ""); got.version != "new" {
			t.Errorf("%s: another file is looked for at %q", made, got.version)
		}
	}
	p := newPinned(t, nil)
	p.old.next = `{"id":"vs_1","name":"files/abc"}`
	p.send(t, "handler", "POST", "/v1/vector_stores", "{}")
	p.split(t, strategies.Split{Generation: 9, Arms: []strategies.Arm{{Name: "new", Weight: strategies.Full}}})
	if got, _ := p.send(t, "handler", "GET", "/v1beta/files/abc", ""); got.version != "new" {
		t.Error("a name that its caller has chosen decides about another's file")
	}
}

// TestIDsExpire after two days.
func TestIDsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := scripted(t, documentOf(`{"id":"resp_1a"}`), documentOf("{}"), nil)
		about := httptest.NewRequest("GET", "http://gateway/v1/responses/resp_1a", nil)
		onlyNew := strategies.Split{Generation: 9, Arms: []strategies.Arm{{Name: "new", Weight: strategies.Full}}}
		for range 2 { // which renews it
			if err := r.SetSplit(t.Context(), strategies.Split{Arms: []strategies.Arm{{Name: "old", Weight: strategies.Full}}}); err != nil {
				t.Fatal(err)
			}
			local(r)["handler"](t.Context(), "/v1/responses", "{}")
			if err := r.SetSplit(t.Context(), onlyNew); err != nil {
				t.Fatal(err)
			}
			time.Sleep(47*time.Hour + 59*time.Minute)
			if arm := r.ArmOf(about); arm != "old" {
				t.Errorf("before two days are over it is looked for at %q", arm)
			}
		}
		time.Sleep(time.Minute)
		if arm := r.ArmOf(about); arm != "new" {
			t.Errorf("after two days it is looked for at %q", arm)
		}
	})
}

// TestArmsTakeTheirIDs with them when they are removed, and when they get another
// account; one that comes under the same name has none.
func TestArmsTakeTheirIDs(t *testing.T) {
	for name, change := range map[string]func(r *traffic.Router, url string) error{
		"removed": func(r *traffic.Router, _ string) error { return r.RemoveBackend("new") },
		"another account": func(r *traffic.Router, url string) error {
			return r.SetBackend("new", traffic.Backend{URL: url, Account: "2"})
		},
	} {
		p := newPinned(t, nil)
		_, id := p.send(t, "handler", "POST", "/v1/responses", "{}")
		_, other := p.send(t, "handler", "POST", "/v1/files", "{}")
		p.split(t, split(8, 0))
		url := serve(t, p.new.ServeHTTP)
		if got, _ := p.send(t, "handler", "GET", "/v1/responses/"+id, ""); got.version != "new" || got.status != 200 {
			t.Fatalf("%s: before: %+v", name, got)
		}
		if err := p.SetBackend("new", traffic.Backend{URL: url, Account: "1"}); err != nil { // another one
			t.Fatal(err)
		}
		if got, _ := p.send(t, "handler", "GET", "/v1/responses/"+id, ""); got.version != "old" || got.status != 404 {
			t.Errorf("%s: at the new address: %+v", name, got)
		}
		p.split(t, split(9, strategies.Full))
		_, id = p.send(t, "handler", "POST", "/v1/responses", "{}")
		p.split(t, split(10, 0))
		if err := p.SetBackend("new", traffic.Backend{URL: serve(t, p.new.ServeHTTP), Account: "1"}); err != nil { // the same
			t.Fatal(err)
		}
		if got, _ := p.send(t, "handler", "GET", "/v1/responses/"+id, ""); got.version != "new" {
			t.Errorf("%s: the same account elsewhere: %+v", name, got)
		}
		if err := change(p.Router, url); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if got, _ := p.send(t, "handler", "GET", "/v1/responses/"+id, ""); got.version != "old" || got.status != 404 {
				t.Errorf("%s: %+v", name, got)
			}
		}
		if err := p.SetBackend("new", traffic.Backend{URL: url, Account: "1"}); err != nil {
			t.Fatal(err)
		}
		if got, _ := p.send(t, "handler", "GET", "/v1/responses/"+id, ""); got.version != "old" {
			t.Errorf("%s, and back: %+v", name, got)
		}
		if got, _ := p.send(t, "handler", "GET", "/v1/files/"+other, ""); got.version != "old" || got.status != 200 {
			t.Errorf("%s: the baseline's file: %+v", name, got)
		}
	}
}

// TestTheLastArmCounts where two arms make the same id.
func TestTheLastArmCounts(t *testing.T) {
	p := newPinned(t, func(c *traffic.Config) {
		c.NoFallback, c.MayForce = true, func(*http.Request, string) bool { return true }
	})
	p.old.next, p.new.next = `{"id":"resp_1"}`, `{"id":"resp_1"}`
	for _, arm := range []string{"new", "old", "new"} {
		p.send(t, "handler", "POST", "/v1/responses", "{}", traffic.ArmHeader, arm)
		if got := p.ArmOf(httptest.NewRequest("GET", "http://gateway/v1/responses/resp_1", nil)); got != arm {
			t.Errorf("made by %s last, and looked for at %q", arm, got)
		}
	}
}

// TestSharedPins: what one process has seen made, another one finds.
func TestSharedPins(t *testing.T) {
	store := &memory{of: make(map[string]kept)}
	p := newPinned(t, func(c *traffic.Config) { c.Pins = store })
	second, _ := newRouter(t, serve(t, p.old.ServeHTTP), serve(t, p.new.ServeHTTP), func(c *traffic.Config) { c.Pins = store })
	_, id := p.send(t, "transport", "POST", "/v1/responses", "{}")
	if arm := second.ArmOf(httptest.NewRequest("GET", "http://gateway/v1/responses/"+id, nil)); arm != "new" {
		t.Errorf("it is looked for at %q", arm)
	}
	for key, k := range store.of {
		if len(key) != 36 || !strings.HasPrefix(key, "pin:") || strings.Contains(key, id) || k.arm != "new" || k.generation != 0 {
			t.Errorf("remembered %q: %+v", key, k)
		}
	}
	if len(store.of) != 1 {
		t.Errorf("remembered %v", slices.Collect(maps.Keys(store.of)))
	}
	for key := range store.of {
		store.of[key] = kept{arm: "gone"}
	}
	if arm := second.ArmOf(httptest.NewRequest("GET", "http://gateway/v1/responses/"+id, nil)); arm != "old" {
		t.Errorf("made by an arm that is not here, and looked for at %q", arm)
	}
}

// TestPinsThatPanic: nothing is known then, and callers have their answers.
func TestPinsThatPanic(t *testing.T) {
	for _, shape := range shapes {
		p := newPinned(t, func(c *traffic.Config) { c.Pins = panics{} })
		got, id := p.send(t, shape, "POST", "/v1/responses", "{}")
		if got.status != 200 || got.err != nil || got.version != "new" {
			t.Errorf("%s: %+v", shape, got)
		}
		for _, about := range []struct{ method, path, body string }{
			{"GET", "/v1/responses/" + id, ""}, {"POST", "/v1/responses", `{"previous_response_id":"` + id + `"}`}, {"POST", "/v1/batches", `{"input_file_id":"` + id + `"}`},
		} {
			if got, _ := p.send(t, shape, about.method, about.path, about.body); got.version != "old" || got.status != 404 {
				t.Errorf("%s, %s %s: %+v", shape, about.method, about.path, got)
			}
		}
		if n := p.Panics(); n["Pins.Put"] != 1 || n["Pins.Get"] < 3 || len(n) != 2 {
			t.Errorf("%s: panics %v", shape, n)
		}
		idle(t, p.Router)
	}
}

// TestAccounts: which arms share their ids.
func TestAccounts(t *testing.T) {
	keyed := func(key string) http.Header { return http.Header{"authorization": {"Bearer " + key}} }
	for name, tt := range map[string]struct {
		old, new traffic.Backend
		shared   bool
	}{
		"one host":                         {traffic.Backend{URL: "http://a/v1"}, traffic.Backend{URL: "http://A/v2"}, true},
		"two hosts":                        {traffic.Backend{URL: "http://a"}, traffic.Backend{URL: "http://b"}, false},
		"two ports":                        {traffic.Backend{URL: "http://a:1"}, traffic.Backend{URL: "http://a:2"}, false},
		"two schemes":                      {traffic.Backend{URL: "http://a"}, traffic.Backend{URL: "https://a"}, false},
		"one key":                          {traffic.Backend{URL: "http://a", Header: keyed("k")}, traffic.Backend{URL: "http://a", Header: keyed("k")}, true},
		"two keys":                         {traffic.Backend{URL: "http://a", Header: keyed("k")}, traffic.Backend{URL: "http://a", Header: keyed("l")}, false},
		"a key and none":                   {traffic.Backend{URL: "http://a", Header: keyed("k")}, traffic.Backend{URL: "http://a"}, false},
		"another header":                   {traffic.Backend{URL: "http://a", Header: http.Header{"X": {"1"}}}, traffic.Backend{URL: "http://a"}, true},
		"one organization, two projects":   {traffic.Backend{URL: "http://a", Header: http.Header{"OpenAI-Project": {"1"}}}, traffic.Backend{URL: "http://a", Header: http.Header{"OpenAI-Project": {"2"}}}, false},
		"two hosts, one account":           {traffic.Backend{URL: "http://a", Account: "x"}, traffic.Backend{URL: "http://b", Account: "x", Header: keyed("k")}, true},
		"one host, two accounts":           {traffic.Backend{URL: "http://a", Account: "x"}, traffic.Backend{URL: "http://a", Account: "y"}, false},
		"two handlers":                     {traffic.Backend{Handler: http.NotFoundHandler()}, traffic.Backend{Handler: http.NotFoundHandler()}, false},
		"one host, spelt in two ways":      {traffic.Backend{URL: "http://a:80/v1/"}, traffic.Backend{URL: "HTTP://A"}, true},
		"one host, two ports":              {traffic.Backend{URL: "http://a:443"}, traffic.Backend{URL: "http://a"}, false},
		"two handlers with an account":     {traffic.Backend{Handler: http.NotFoundHandler(), Account: "x"}, traffic.Backend{Handler: http.NotFoundHandler(), Account: "x"}, true},
		"an account that is named like it": {traffic.Backend{Handler: http.NotFoundHandler()}, traffic.Backend{Account: "old"}, false},
	} {
		for backend, b := range map[string]*traffic.Backend{"old": &tt.old, "new": &tt.new} {
			if b.URL != "" {
				b.Transport = documentOf(`{"id":"resp_` + backend + `1","object":"response"}`)
			} else {
				b.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					fmt.Fprintf(w, `{"id":"resp_%s1"}`, backend)
				})
			}
		}
		r, _ := newRouter(t, "", "", func(c *traffic.Config) {
			c.Arms, c.NoFallback = map[string]traffic.Backend{"old": tt.old, "new": tt.new}, true
		})
		local(r)["handler"](t.Context(), "/v1/responses", "{}")
		about := httptest.NewRequest("GET", "http://gateway/v1/responses/resp_new1", nil)
		if arm := r.ArmOf(about); (arm == "old") != tt.shared {
			t.Errorf("%s: it is looked for at %q", name, arm)
		}
	}
}

// TestContinuedRequestsFallBack between arms of one account.
func TestContinuedRequestsFallBack(t *testing.T) {
	for _, shape := range shapes {
		for _, account := range []string{"", "ours"} {
			old := documentOf(`{"id":"resp_1","object":"response","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}]}`)
			r, _ := scripted(t, old, &script{status: 500}, func(c *traffic.Config) {
				for name, b := range c.Arms {
					b.Account = account
					c.Arms[name] = b
				}
				c.MayForce = func(*http.Request, string) bool { return true }
			})
			req := httptest.NewRequest("POST", "http://gateway/v1/responses", strings.NewReader(`{"previous_response_id":"resp_0"}`))
			req.Header.Set(traffic.ArmHeader, "new")
			status := exchangeIn(t, r, shape, req)
			if want := map[string]int{"": 500, "ours": 200}[account]; status != want {
				t.Errorf("%s, account %q: status %d, want %d", shape, account, status, want)
			}
			// What the baseline made in place of the candidate is the baseline's.
			if err := r.SetSplit(t.Context(), strategies.Split{Generation: 9, Arms: []strategies.Arm{{Name: "new", Weight: strategies.Full}}}); err != nil {
				t.Fatal(err)
			}
			if err := r.SetBackend("new", traffic.Backend{URL: "http://elsewhere", Account: "theirs"}); err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"": "new", "ours": "old"}[account]
			if arm := r.ArmOf(httptest.NewRequest("GET", "http://gateway/v1/responses/resp_1", nil)); arm != want {
				t.Errorf("%s, account %q: the response is looked for at %q, want %q", shape, account, arm, want)
			}
		}
	}
}

// TestPinsFromManyGoroutines makes, follows and removes at the same time.
func TestPinsFromManyGoroutines(t *testing.T) {
	old, new := documentOf(`{"id":"resp_1"}`), documentOf(`{"id":"resp_2"}`)
	r, _ := scripted(t, old, new, func(c *traffic.Config) { c.NoFallback, c.Split = true, split(1, 5000) })
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 100 {
				switch {
				case w < 4:
					local(r)[shapes[w%2]](t.Context(), "/v1/responses", `{"previous_response_id":"resp_2"}`)
				case w < 6:
					local(r)[shapes[w%2]](t.Context(), "/v1/responses", `{}`)
				case w == 6:
					_ = r.SetBackend("new", traffic.Backend{URL: "http://new.invalid", Transport: new, Account: fmt.Sprint(i)})
				default:
					r.ArmOf(httptest.NewRequest("GET", "http://gateway/v1/responses/resp_2", nil))
				}
			}
		})
	}
	all.Wait()
	idle(t, r)
}
