package loadtest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/checks/analysis"
	"github.com/serin-go/serin/loadtest/pace"
	"github.com/serin-go/serin/loadtest/workload"
)

func extra(members string) (all map[string]json.RawMessage) {
	if err := json.Unmarshal([]byte(members), &all); err != nil {
		panic(err)
	}
	return all
}

// TestExtraBody merges the members of the plan and of the prompt into the body.
func TestExtraBody(t *testing.T) {
	image := json.RawMessage(`[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:,"}}]`)
	tests := []struct {
		api          API
		plan, prompt string
		parts        json.RawMessage
		want         string
	}{
		{Chat, `{}`, `{}`, nil, `{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":7,"stream":true,"stream_options":{"include_usage":true}}`},
		{Chat, `{"seed":1,"top_k":2}`, `{"seed":3,"model":"lora"}`, nil, `{"model":"lora","messages":[{"role":"user","content":"x"}],"max_tokens":7,"stream":true,"stream_options":{"include_usage":true},"seed":3,"top_k":2}`},
		{Chat, `{}`, `{"max_completion_tokens":9}`, image, `{"model":"m","messages":[{"role":"user","content":` + string(image) + `}],"max_completion_tokens":9,"stream":true,"stream_options":{"include_usage":true}}`},
		{Chat, `{"max_completion_tokens":9}`, `{"max_tokens":5}`, nil, `{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":5,"stream":true,"stream_options":{"include_usage":true}}`},
		{Chat, `{"stream":false}`, `{}`, nil, `{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":7,"stream":false}`},
		{Chat, `{"stream":false}`, `{"stream":true}`, nil, `{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":7,"stream":true,"stream_options":{"include_usage":true}}`},
		{Chat, `{"stream_options":{}}`, `{"stream":false}`, nil, `{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":7,"stream":false,"stream_options":{}}`},
		{Completions, `{"ignore_eos":true}`, `{"min_tokens":7}`, nil, `{"model":"m","prompt":"x","max_tokens":7,"stream":true,"stream_options":{"include_usage":true},"ignore_eos":true,"min_tokens":7}`},
		{Responses, `{"tools":[]}`, `{}`, nil, `{"model":"m","input":[{"role":"user","content":"x"}],"max_output_tokens":7,"stream":true,"tools":[]}`},
		{Embeddings, `{"dimensions":8}`, `{}`, nil, `{"model":"m","input":"x","dimensions":8}`},
	}
	for _, test := range tests {
		message := workload.Message{Role: "user", Content: "x"}
		if test.parts != nil {
			message = workload.Message{Role: "user", Parts: test.parts}
		}
		p := Plan{API: test.api, Model: "m", MaxTokens: 7, ExtraBody: extra(test.plan)}
		body := encodeBody(p, workload.Prompt{Messages: []workload.Message{message}, ExtraBody: extra(test.prompt)})
		var want, got any
		if err := errors.Join(json.Unmarshal([]byte(test.want), &want), json.Unmarshal(body, &got)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s with %s and %s (-want +got):\n%s", test.api, test.plan, test.prompt, diff)
		}
	}
}

// TestWithoutStream asks for documents, by the plan and by the prompt. A stream is then a
// wrong answer.
func TestWithoutStream(t *testing.T) {
	document := script{header: http.Header{"Content-Type": {"application/json"}}, parts: []part{{data: `{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":1}}`}}}
	for i, extras := range [][2]string{{`{"stream":false}`, `{}`}, {`{}`, `{"stream":false}`}} {
		for _, answer := range []script{document, {parts: spoken}} {
			p := plan(answer)
			p.ExtraBody = extra(extras[0])
			p.Prompts[0].ExtraBody = extra(extras[1])
			_, results := simulate(t, p)
			want := analysis.OK
			if answer.header == nil {
				want = analysis.Invalid
			}
			if r := results[0]; r.Class != want || want == analysis.OK && (r.OutputTokens != 1 || r.Chunks != 0) {
				t.Errorf("%d: %v, %v", i, r.Class, r.Err)
			}
		}
	}
}

// TestExtraBodyIsSent sends the members of a plan and of a conversation.
func TestExtraBodyIsSent(t *testing.T) {
	var bodies []string
	p := plan(roundTripFunc(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		if err != nil {
			return nil, err
		}
		return script{parts: spoken}.RoundTrip(r)
	}))
	p.ExtraBody, p.Pacer, p.Users, p.Requests = extra(`{"seed":1}`), nil, 1, 2
	p.Conversations = []workload.Conversation{{Turns: []string{"a", "b"}, ExtraBody: extra(`{"ignore_eos":true}`)}}
	data, err := json.Marshal(p)
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil {
		t.Fatal(err)
	}
	simulate(t, p)
	if len(bodies) != 2 {
		t.Fatal(bodies)
	}
	for _, body := range bodies {
		if !strings.Contains(body, `"seed":1`) || !strings.Contains(body, `"ignore_eos":true`) {
			t.Errorf("sent %s", body)
		}
	}
}

func TestInvalidExtraBody(t *testing.T) {
	p := plan(nil)
	p.ExtraBody, p.API = map[string]json.RawMessage{"messages": json.RawMessage("[]"), "seed": json.RawMessage("{")}, Embeddings
	p.Prompts = []workload.Prompt{{Messages: []workload.Message{{Role: "user", Parts: json.RawMessage(`[{"type":"image_url"}]`)}}}}
	var fields []string
	for invalid := range checks.Invalid(p.Validate()) {
		fields = append(fields, invalid.Field)
	}
	if diff := cmp.Diff([]string{`Plan.ExtraBody["messages"]`, `Plan.ExtraBody["seed"]`, "Plan.Prompts[0].Messages[0]"}, fields); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTargetsOfAModel judges answers to paths of models as those to prompts, and accepts
// any answer of another path.
func TestTargetsOfAModel(t *testing.T) {
	failing := script{parts: []part{{data: content("a")}, {data: event(`{"error":{"message":"out of memory","type":"server_error","code":500}}`)}}}
	cut := script{parts: []part{{data: content("a")}}}
	for _, test := range []struct {
		path   string
		answer script
		want   analysis.Class
	}{
		{"/v1/chat/completions", failing, analysis.Error}, {"/v1/chat/completions", cut, analysis.Truncated}, {"/v1/chat/completions", script{parts: spoken}, analysis.OK},
		{"/v1/completions", failing, analysis.Error}, {"/v1/messages", cut, analysis.Invalid},
		{"/things", failing, analysis.OK}, {"/things", script{parts: []part{{data: "<html>"}}}, analysis.OK}, {"/", script{}, analysis.OK},
	} {
		targets, err := workload.ReadTargets(strings.NewReader(`{"method":"POST","url":"http://model.test`+test.path+`","header":{"Content-Type":["application/json"]},"body":"eyJtb2RlbCI6Im0iLCJzdHJlYW0iOnRydWUsIm1lc3NhZ2VzIjpbXX0="}`), workload.JSONTargets, nil)
		if err != nil {
			t.Fatal(err)
		}
		p := plan(test.answer)
		p.Target, p.Model, p.Prompts, p.Workload, p.Pacer = "", "", nil, targets, pace.Constant(1)
		if report, results := simulate(t, p); results[0].Class != test.want {
			t.Errorf("%s: %v (%v), want %v\n%v", test.path, results[0].Class, results[0].Err, test.want, report)
		}
	}
}
