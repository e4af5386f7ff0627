package traffic

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"
)

func TestSplice(t *testing.T) {
	for _, tt := range []struct {
		body, want string
		ok         bool
	}{
		{`{"model":"a","messages":[]}`, `{"model":"b\"","messages":[]}`, true},
		{` { "messages" : [ {"model":"inner"} ] , "model" : "a" } `, ` { "messages" : [ {"model":"inner"} ] , "model" : "b\"" } `, true},
		{`{"model":"a","messages":[],"mod\u0065l":"c"}`, `{"model":"b\"","messages":[],"mod\u0065l":"b\""}`, true},
		{`{"model":null}`, `{"model":"b\""}`, true},
		{`{"model":{"a":[1]},"n":1.0}`, `{"model":"b\"","n":1.0}`, true},
		{`{}`, `{}`, true}, {`{"a":1}`, `{"a":1}`, true},
		{`[]`, ``, false}, {``, ``, false}, {`{"model":"a"`, ``, false}, {`{"model":"a"} x`, ``, false}, {`{"model":}`, ``, false}, {`model=a`, ``, false},
	} {
		got, asked, ok := splice(nil, []byte(tt.body), quoted(`b"`), false)
		if asked {
			t.Errorf("%s: asks for usage", tt.body)
		}
		if ok != tt.ok || ok && string(got) != tt.want {
			t.Errorf("%s: %s, %t; want %s", tt.body, got, ok, tt.want)
		}
	}
	long := []byte(`{"model":"chat","messages":[{"role":"user","content":"` + strings.Repeat("word ", 400) + `"}],"stream":true}`)
	buf, model := make([]byte, 0, 4<<10), quoted("chat-1.5")
	if n := testing.AllocsPerRun(100, func() { splice(buf, long, model, true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSpliceUsage(t *testing.T) {
	for _, tt := range []struct {
		body, want string
		asked, ok  bool
	}{
		{`{"model":"a","stream":true}`, `{"model":"b","stream":true,"stream_options":{"include_usage":true}}`, true, true},
		{` { "model" : "a" } `, ` { "model" : "b" ,"stream_options":{"include_usage":true}} `, true, true},
		{`{}`, `{"stream_options":{"include_usage":true}}`, true, true},
		{`{"stream_options":null,"model":"a"}`, `{"stream_options":{"include_usage":true},"model":"b"}`, true, true},
		{`{"stream_options":{},"model":"a"}`, `{"stream_options":{"include_usage":true},"model":"b"}`, true, true},
		{`{"stream_options":{ } }`, `{"stream_options":{ "include_usage":true} }`, true, true},
		{`{"stream_options":{"include_obfuscation":false}}`, `{"stream_options":{"include_obfuscation":false,"include_usage":true}}`, true, true},
		{`{"stream_options":{"include_usage" : false, "x":{"include_usage":false}}}`, `{"stream_options":{"include_usage" : true, "x":{"include_usage":false}}}`, true, true},
		{`{"stream_options":{"continuous_usage_stats":true},"model":"a"}`, `{"stream_options":{"continuous_usage_stats":true},"model":"b"}`, false, true},
		{`{"stream_options":{},"model":"a","stream_options":{"include_usage":false,"continuous_usage_stats":1}}`, `{"stream_options":{},"model":"b","stream_options":{"include_usage":false,"continuous_usage_stats":1}}`, false, true},
		{`{"stream_options":{"continuous_usage_stats":false}}`, `{"stream_options":{"continuous_usage_stats":false,"include_usage":true}}`, true, true},
		{`{"stream_options":{"include_usage":null}}`, `{"stream_options":{"include_usage":true}}`, true, true},
		{`{"stream_options":{"include_usage":false,"include\u005fusage":0}}`, `{"stream_options":{"include_usage":true,"include\u005fusage":true}}`, true, true},
		{`{"stream\u005foptions":{"include_usage":false},"stream_options":{}}`, `{"stream\u005foptions":{"include_usage":true},"stream_options":{"include_usage":true}}`, true, true},
		{`{"messages":[{"stream_options":{"include_usage":false}}],"n":1.0}`, `{"messages":[{"stream_options":{"include_usage":false}}],"n":1.0,"stream_options":{"include_usage":true}}`, true, true},
		{`{"stream_options":"x","model":"a"}`, `{"stream_options":"x","model":"b"}`, false, true},
		{`{"stream_options":{"include_usage":false}`, ``, true, false}, {`{"stream_options":{"include_usage":}}`, ``, true, false},
		{`{"stream_options":{]}`, ``, true, false}, {`{"stream":true`, ``, false, false}, {`{"stream":true} x`, ``, true, false}, {`[]`, ``, false, false}, {``, ``, false, false},
	} {
		got, asked, ok := splice([]byte("before"), []byte(tt.body), quoted("b"), true)
		if ok != tt.ok || ok && (asked != tt.asked || string(got) != "before"+tt.want) || !ok && string(got) != "before" {
			t.Errorf("%s: %s, %t, %t; want %s", tt.body, got, asked, ok, tt.want)
		}
	}
	if got, asked, ok := splice(nil, []byte(`{"model":"a"}`), nil, true); !ok || !asked || string(got) != `{"model":"a","stream_options":{"include_usage":true}}` {
		t.Errorf("without a model: %s, %t, %t", got, asked, ok)
	}
}

func FuzzSplice(f *testing.F) {
	f.Add([]byte(`{"model":"a","messages":[{"model":1}]}`))
	f.Add([]byte(`{"mod\u0065l":1,"model":2}`))
	f.Add([]byte(`{"stream_options":{"a":1},"stream\u005foptions":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, asked, ok := splice(nil, body, []byte(`"m"`), true)
		if !ok || !json.Valid(body) {
			return
		}
		var before, after map[string]json.RawMessage
		if json.Unmarshal(body, &before) != nil || json.Unmarshal(got, &after) != nil {
			t.Fatalf("%q became %q", body, got)
		}
		if asked {
			// A member that no server takes may come behind one that asks.
			var options map[string]json.RawMessage
			if json.Unmarshal(after["stream_options"], &options) == nil && string(options["include_usage"]) != "true" {
				t.Fatalf("%q became %q, which does not ask for usage", body, got)
			}
			if before["stream_options"] == nil {
				delete(after, "stream_options")
			}
		}
		if _, has := before["model"]; has && string(after["model"]) != `"m"` || len(before) != len(after) {
			t.Fatalf("%q became %q", body, got)
		}
	})
}

func BenchmarkSplice(b *testing.B) {
	long := []byte(`{"model":"chat","messages":[{"role":"user","content":"` + strings.Repeat("word ", 400) + `"}],"stream":true}`)
	buf, model := make([]byte, 0, 4<<10), quoted("chat-1.5")
	messages := func(n, words int) []byte {
		m := `{"role":"user","content":"` + strings.Repeat("word \\n", words) + `"}`
		return []byte(`{"model":"chat","messages":[` + strings.Repeat(m+",", n-1) + m + `],"stream":true,"stream_options":{"include_usage":false}}`)
	}
	for _, tt := range []struct {
		name  string
		body  []byte
		model []byte
		usage bool
	}{{"model", long, model, false}, {"usage", long, nil, true}, {"both", long, model, true}, {"both, 8 messages", messages(8, 30), model, true}, {"both, 40 messages", messages(40, 2), model, true}} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				splice(buf, tt.body, tt.model, tt.usage)
			}
		})
	}
}

func TestMultipartModel(t *testing.T) {
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	_ = w.WriteField("model", "whisper-1")
	file, _ := w.CreateFormFile("file", "model")
	_, _ = file.Write([]byte("\r\n--not the boundary\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nx"))
	_ = w.WriteField("language", "de")
	_ = w.Close()
	got, ok := multipartModel(w.FormDataContentType(), form.Bytes(), "whisper-2")
	if !ok {
		t.Fatal("the form was not read")
	}
	r := multipart.NewReader(bytes.NewReader(got), w.Boundary())
	read, err := r.ReadForm(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	content, _ := read.File["file"][0].Open()
	data, _ := io.ReadAll(content)
	if read.Value["model"][0] != "whisper-2" || read.Value["language"][0] != "de" || !strings.Contains(string(data), "not the boundary") || len(got) != form.Len() {
		t.Errorf("%v, file %q", read.Value, data)
	}
	for _, kind := range []string{"application/json", "multipart/form-data", "multipart/mixed; boundary=x", ";"} {
		if _, ok := multipartModel(kind, form.Bytes(), "x"); ok {
			t.Errorf("%s was taken for a form", kind)
		}
	}
}

func TestPathModel(t *testing.T) {
	for path, want := range map[string]string{
		"/openai/deployments/gpt-4o/chat/completions":     "/openai/deployments/a%2Fb/chat/completions",
		"/v1beta/models/gemini-2.0-flash:generateContent": "/v1beta/models/a%2Fb:generateContent",
		"/v1/projects/p/locations/l/models/m:rawPredict":  "/v1/projects/p/locations/l/models/a%2Fb:rawPredict",
		"/model/anthropic.claude-v2%3A1/invoke":           "/model/a%2Fb/invoke",
		"/v1/models/m":                                    "",
		"/v1/chat/completions":                            "",
		"/deployments/d":                                  "",
		"/models/:x":                                      "",
	} {
		u, err := url.Parse("http://h" + path + "?q=1")
		if err != nil {
			t.Fatal(err)
		}
		got, ok := pathModel(u, "a/b")
		if ok != (want != "") || ok && (got.EscapedPath() != want || got.RawQuery != "q=1") || u.EscapedPath() != path {
			t.Errorf("%s: %s, %t; want %s", path, got.EscapedPath(), ok, want)
		}
	}
}
