package answer_test

import (
	"strings"
	"testing"

	"github.com/serin-go/serin/checks/analysis/answer"
)

func TestAskOf(t *testing.T) {
	type ask = answer.Ask
	for _, c := range []struct {
		name string
		api  answer.API
		body string
		want ask // Route is added
	}{
		{"nothing", answer.Chat, `{}`, ask{Read: true}},
		{"white space around", answer.Chat, " \r\n\t{ } \n", ask{Read: true}},
		{"chat", answer.Chat,
			`{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true},"n":2,"max_tokens":9}`,
			ask{Read: true, Model: "gpt-4o", Stream: true, Usage: true, N: 2, MaxTokens: 9}},
		{"inside of values", answer.Chat,
			`{"messages":[{"content":"\"stream\":true,\\","stream":true,"model":"x","n":3}],"metadata":{"stream":true,"tools":[1]}}`,
			ask{Read: true}},
		{"false and null", answer.Chat,
			`{"model":null,"stream":false,"stream_options":null,"tools":null,"functions":[],"store":null,"background":false,"n":null,"max_tokens":null}`,
			ask{Read: true}},
		{"other types", answer.Chat,
			`{"model":7,"stream":"true","stream_options":[true],"tools":{"a":1},"functions":"x","store":1,"background":"yes","n":-1,"max_tokens":"9","generationConfig":4,"conversation":3,"previous_response_id":[]}`,
			ask{Read: true}},
		{"usage not wanted", answer.Chat, `{"stream":true,"stream_options":{"include_usage":false,"x":1}}`, ask{Read: true, Stream: true}},
		{"last of repeated", answer.Chat,
			`{"model":"a","stream":true,"n":2,"tools":[{"type":"mcp"}],"stream_options":{"include_usage":true},"model":"b","stream":false,"n":3,"tools":[],"stream_options":{}}`,
			ask{Read: true, Model: "b", N: 3}},
		{"last of repeated is null", answer.Responses, `{"store":false,"store":null,"previous_response_id":"r","previous_response_id":null}`,
			ask{Read: true, Store: true}},
		{"escapes in names", answer.Chat, `{"\u006dodel":"m","str\u0065am":true}`, ask{Read: true, Model: "m", Stream: true}},
		{"escapes in values", answer.Chat, `{"model":"a\/b\u002dc\"d"}`, ask{Read: true, Model: `a/b-c"d`}},
		{"names differ by case", answer.Chat, `{"Stream":true,"MODEL":"m"}`, ask{Read: true}},

		{"store default of responses", answer.Responses, `{"model":"m"}`, ask{Read: true, Model: "m", Store: true}},
		{"store of responses", answer.Responses, `{"store":false}`, ask{Read: true}},
		{"store default of chat", answer.Chat, `{"model":"m"}`, ask{Read: true, Model: "m"}},
		{"store of chat", answer.Chat, `{"store":true}`, ask{Read: true, Store: true}},
		{"background", answer.Responses, `{"background":true,"store":true}`, ask{Read: true, Background: true, Store: true}},
		{"stream default of Ollama", answer.Ollama, `{"model":"m"}`, ask{Read: true, Model: "m", Stream: true}},
		{"stream null of Ollama", answer.Ollama, `{"stream":null}`, ask{Read: true, Stream: true}},
		{"stream of Ollama", answer.Ollama, `{"stream":false,"options":{"num_predict":7}}`, ask{Read: true, MaxTokens: 7}},

		{"function", answer.Chat, `{"tools":[{"type":"function","function":{"name":"f","type":"mcp"}}]}`, ask{Read: true, Tools: true}},
		{"functions", answer.Chat, `{"functions":[{"name":"f"}]}`, ask{Read: true, Tools: true}},
		{"custom", answer.Responses, `{"store":false,"tools":[{"type":"custom","name":"f"},{"type":"function","name":"g"}]}`, ask{Read: true, Tools: true}},
		{"web search", answer.Responses, `{"store":false,"tools":[{"type":"function","name":"f"},{"type":"web_search_preview"}]}`, ask{Read: true, Tools: true, ServerTools: true}},
		{"file search", answer.Responses, `{"store":false,"tools":[{"type":"file_search"}]}`, ask{Read: true, Tools: true, ServerTools: true}},
		{"code interpreter", answer.Responses, `{"store":false,"tools":[{"type":"code_interpreter"}]}`, ask{Read: true, Tools: true, ServerTools: true}},
		{"computer of OpenAI", answer.Responses, `{"store":false,"tools":[{"type":"computer_use_preview"}]}`, ask{Read: true, Tools: true, ServerTools: true}},
		{"mcp", answer.Responses, `{"store":false,"tools":[{"server_url":"u","type":"mcp"}]}`, ask{Read: true, Tools: true, ServerTools: true}},
		{"type of a tool with escapes", answer.Chat, `{"tools":[{"type":"func\u0074ion"}]}`, ask{Read: true, Tools: true}},
		{"type that is unheard of", answer.Chat, `{"tools":[{"type":"teleport"}]}`, ask{Read: true, Tools: true, ServerTools: true}},
		{"tool that is no object", answer.Chat, `{"tools":["web_search"]}`, ask{Read: true, Tools: true, ServerTools: true}},
		{"tool of Anthropic", answer.Messages, `{"tools":[{"name":"f","input_schema":{"type":"object"}}]}`, ask{Read: true, Tools: true}},
		{"computer of Anthropic", answer.Messages, `{"tools":[{"type":"computer_20250124","name":"computer"},{"type":"bash_20250124","name":"bash"},{"type":"text_editor_20250728","name":"e"}]}`, ask{Read: true, Tools: true}},
		{"web search of Anthropic", answer.Messages, `{"tools":[{"type":"web_search_20250305","name":"web_search"}]}`, ask{Read: true, Tools: true, ServerTools: true}},
		{"code execution of Anthropic", answer.Messages, `{"tools":[{"type":"code_execution_20250825","name":"c"}]}`, ask{Read: true, Tools: true, ServerTools: true}},
		{"MCP servers", answer.Messages, `{"mcp_servers":[{"url":"u"}]}`, ask{Read: true, ServerTools: true}},
		{"no MCP servers", answer.Messages, `{"mcp_servers":[]}`, ask{Read: true}},
		{"plugins", answer.Chat, `{"plugins":[{"id":"web"}]}`, ask{Read: true, ServerTools: true}},
		{"web search options", answer.Chat, `{"web_search_options":{}}`, ask{Read: true, ServerTools: true}},
		{"no web search options", answer.Chat, `{"web_search_options":null}`, ask{Read: true}},
		{"functions of Gemini", answer.Gemini, `{"tools":[{"functionDeclarations":[{"name":"f"}]}]}`, ask{Read: true, Tools: true}},
		{"search of Gemini", answer.Gemini, `{"tools":[{"function_declarations":[],"google_search":{}}]}`, ask{Read: true, Tools: true, ServerTools: true}},
		{"search of Gemini, camel case", answer.Gemini, `{"tools":[{"googleSearch":{}}]}`, ask{Read: true, Tools: true, ServerTools: true}},
		{"code of Gemini", answer.Gemini, `{"tools":[{"code_execution":{}},{"url_context":{}}]}`, ask{Read: true, Tools: true, ServerTools: true}},
		{"mode of Gemini", answer.Gemini, `{"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}}`, ask{Read: true}},
		{"tools of Bedrock", answer.Any, `{"toolConfig":{"tools":[{"toolSpec":{"name":"f"}}]},"inferenceConfig":{"maxTokens":5}}`, ask{Read: true, Tools: true, MaxTokens: 5}},

		{"candidates of Gemini", answer.Gemini, `{"generationConfig":{"candidateCount":4,"maxOutputTokens":100}}`, ask{Read: true, N: 4, MaxTokens: 100}},
		{"best of", answer.Completions, `{"best_of":5}`, ask{Read: true}},
		{"choices", answer.Completions, `{"best_of":5,"n":3}`, ask{Read: true, N: 3}},
		{"larger limit counts", answer.Chat, `{"max_completion_tokens":8,"max_tokens":9}`, ask{Read: true, MaxTokens: 9}},
		{"limit of responses in a chat", answer.Chat, `{"max_output_tokens":1,"max_tokens":9}`, ask{Read: true, MaxTokens: 9}},
		{"limits of others in a chat", answer.Chat, `{"n_predict":1,"max_output_tokens":2,"max_new_tokens":3,"max_tokens_to_sample":4,"options":{"num_predict":5},"parameters":{"max_new_tokens":6},"generationConfig":{"maxOutputTokens":7}}`, ask{Read: true}},
		{"limit of llama.cpp beside its own", answer.Chat, `{"n_predict":9,"max_tokens":1}`, ask{Read: true, MaxTokens: 9}},
		{"limit of llama.cpp in a completion", answer.Completions, `{"n_predict":9,"max_tokens":12}`, ask{Read: true, MaxTokens: 12}},
		{"limit of a chat in responses", answer.Responses, `{"max_tokens":1,"store":false}`, ask{Read: true}},
		{"limit of responses in messages", answer.Messages, `{"max_output_tokens":1,"max_tokens":9}`, ask{Read: true, MaxTokens: 9}},
		{"limit of a chat in Gemini", answer.Gemini, `{"max_tokens":1,"generation_config":{"max_output_tokens":9}}`, ask{Read: true, MaxTokens: 9}},
		{"limit of Gemini in two spellings", answer.Gemini, `{"generationConfig":{"maxOutputTokens":9,"max_output_tokens":1}}`, ask{Read: true, MaxTokens: 9}},
		{"limit of others within Gemini's", answer.Gemini, `{"generationConfig":{"num_predict":1,"maxTokens":2}}`, ask{Read: true}},
		{"limit of a chat in Ollama", answer.Ollama, `{"stream":false,"max_tokens":1}`, ask{Read: true}},
		{"limit of Cohere", answer.Cohere, `{"max_tokens":9,"max_completion_tokens":1}`, ask{Read: true, MaxTokens: 9}},
		{"limit of SGLang at TGI", answer.TGI, `{"inputs":"x","sampling_params":{"max_new_tokens":1}}`, ask{Read: true}},
		{"limit of SGLang", answer.TGI, `{"text":"x","sampling_params":{"max_new_tokens":9},"parameters":{"max_new_tokens":1}}`, ask{Read: true, MaxTokens: 9}},
		{"limit that is not known of embeddings", answer.Embeddings, `{"max_tokens":1}`, ask{Read: true}},
		{"largest limit of any interface", answer.Any, `{"max_completion_tokens":8,"max_tokens":9,"options":{"num_predict":10}}`, ask{Read: true, MaxTokens: 10}},
		{"choices of a chat in Gemini", answer.Gemini, `{"n":1,"generationConfig":{"candidateCount":4}}`, ask{Read: true, N: 4}},
		{"choices of Gemini in a chat", answer.Chat, `{"n":2,"generationConfig":{"candidateCount":4}}`, ask{Read: true, N: 2}},
		{"choices of any interface", answer.Any, `{"n":2,"generationConfig":{"candidateCount":4}}`, ask{Read: true, N: 4}},
		{"limit of responses", answer.Responses, `{"max_output_tokens":8,"store":false}`, ask{Read: true, MaxTokens: 8}},
		{"limit of old Anthropic", answer.Any, `{"max_tokens_to_sample":8}`, ask{Read: true, MaxTokens: 8}},
		{"limit of TGI", answer.TGI, `{"inputs":"x","parameters":{"max_new_tokens":8}}`, ask{Read: true, MaxTokens: 8}},
		{"limit", answer.Any, `{"max_new_tokens":8}`, ask{Read: true, MaxTokens: 8}},
		{"huge limit", answer.Chat, `{"max_tokens":99999999999999999999999999}`, ask{Read: true}},

		{"previous response", answer.Responses, `{"store":false,"previous_response_id":"resp_1"}`, ask{Read: true, After: "resp_1"}},
		{"conversation", answer.Responses, `{"store":false,"conversation":"conv_1"}`, ask{Read: true, After: "conv_1"}},
		{"conversation object", answer.Responses, `{"store":false,"conversation":{"x":1,"id":"conv_1"}}`, ask{Read: true, After: "conv_1"}},
		{"cached content", answer.Gemini, `{"cachedContent":"cachedContents/c"}`, ask{Read: true, After: "cachedContents/c"}},
		{"file", answer.Responses, `{"store":false,"input":[{"role":"user","content":[{"type":"input_file","file_id":"file-1"},{"type":"input_file","file_id":"file-2"}]}]}`, ask{Read: true, After: "file-1"}},
		{"file of Anthropic", answer.Messages, `{"messages":[{"content":[{"type":"document","source":{"type":"file","file_id":"file_1"}}]}]}`, ask{Read: true, After: "file_1"}},
		{"file of chat", answer.Chat, `{"messages":[{"content":[{"type":"file","file":{"file_id":"file-1"}}]}]}`, ask{Read: true, After: "file-1"}},
		{"file in a result of a tool", answer.Messages, `{"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"document","source":{"type":"file","file_id":"file_1"}}]}]}]}`, ask{Read: true, After: "file_1"}},
		{"file of Gemini", answer.Gemini, `{"contents":[{"parts":[{"text":"x"},{"fileData":{"mimeType":"m","fileUri":"https://h/files/a"}}]}]}`, ask{Read: true, After: "https://h/files/a"}},
		{"file of Gemini, snake case", answer.Gemini, `{"contents":[{"parts":[{"file_data":{"file_uri":"files/a"}}]}]}`, ask{Read: true, After: "files/a"}},
		{"no file of Gemini", answer.Gemini, `{"contents":[{"parts":[{"text":"\"fileUri\":"},{"fileData":{"fileUri":""}}]}]}`, ask{Read: true}},
		{"files of a code interpreter", answer.Responses, `{"store":false,"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["file-1","file-2"]}}]}`, ask{Read: true, Tools: true, ServerTools: true, After: "file-1"}},
		{"container of a code interpreter", answer.Responses, `{"store":false,"tools":[{"type":"code_interpreter","container":"cntr_1"}]}`, ask{Read: true, Tools: true, ServerTools: true, After: "cntr_1"}},
		{"new container", answer.Responses, `{"store":false,"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":[]}}]}`, ask{Read: true, Tools: true, ServerTools: true}},
		{"store of files", answer.Responses, `{"store":false,"tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]}`, ask{Read: true, Tools: true, ServerTools: true, After: "vs_1"}},
		{"mask of an image", answer.Responses, `{"store":false,"tools":[{"type":"image_generation","input_image_mask":{"file_id":"file-1"}}]}`, ask{Read: true, Tools: true, ServerTools: true, After: "file-1"}},
		{"parameters of a function like files", answer.Responses, `{"store":false,"tools":[{"type":"function","name":"f","parameters":{"container":"x","file_ids":["y"],"vector_store_ids":["z"]}}]}`, ask{Read: true, Tools: true}},
		{"tools repeated", answer.Responses, `{"store":false,"tools":[{"type":"file_search","vector_store_ids":["vs_1"]}],"tools":[]}`, ask{Read: true}},
		{"container of Anthropic", answer.Messages, `{"container":"container_1"}`, ask{Read: true, After: "container_1"}},
		{"item of an earlier answer", answer.Responses, `{"store":false,"input":[{"id":"msg_1","type":"item_reference"}]}`, ask{Read: true, After: "msg_1"}},
		{"items with ids", answer.Responses, `{"store":false,"input":[{"type":"message","id":"msg_1","content":"item_reference"}]}`, ask{Read: true}},
		{"file in a text", answer.Chat, `{"messages":[{"content":"\"file_id\":\"x\""}]}`, ask{Read: true}},

		{"embedding of a text", answer.Embeddings, `{"input":"a"}`, ask{Read: true, Inputs: 1}},
		{"embeddings of texts", answer.Embeddings, `{"input":["a","b","c,]"]}`, ask{Read: true, Inputs: 3}},
		{"embedding of tokens", answer.Embeddings, `{"input":[1,2,3]}`, ask{Read: true, Inputs: 1}},
		{"embeddings of tokens", answer.Embeddings, `{"input":[[1,2],[3]]}`, ask{Read: true, Inputs: 2}},
		{"embeddings of nothing", answer.Embeddings, `{"input":[]}`, ask{Read: true}},
		{"embedding of null", answer.Embeddings, `{"input":null}`, ask{Read: true}},
		{"embeddings of Gemini", answer.Embeddings, `{"requests":[{"content":{}},{"content":{}}]}`, ask{Read: true, Inputs: 2}},
		{"embedding of Gemini", answer.Embeddings, `{"content":{"parts":[{"text":"a"}]}}`, ask{Read: true, Inputs: 1}},
		{"prompts of a completion", answer.Completions, `{"prompt":["a","b"],"n":3}`, ask{Read: true, N: 6}},
		{"tokens of one prompt", answer.Completions, `{"prompt":[1,2,3]}`, ask{Read: true}},
		{"prompts as tokens", answer.Completions, `{"prompt":[[1],[2,3]]}`, ask{Read: true, N: 2}},
		{"embedding of old Ollama", answer.Embeddings, `{"prompt":"a"}`, ask{Read: true, Inputs: 1}},
		{"texts of Cohere", answer.Embeddings, `{"texts":["a","b"]}`, ask{Read: true, Inputs: 2}},
		{"inputs of Cohere", answer.Embeddings, `{"inputs":[{"content":[]},{"content":[]},{"content":[]}]}`, ask{Read: true, Inputs: 3}},
		{"input repeated", answer.Embeddings, `{"input":["a","b"],"input":"c"}`, ask{Read: true, Inputs: 1}},
		{"input of responses", answer.Responses, `{"input":["a","b"],"store":false}`, ask{Read: true}},
		{"moderation of a text", answer.Moderations, `{"input":"a"}`, ask{Read: true, Inputs: 1}},
		{"moderations of texts", answer.Moderations, `{"input":["a","b"]}`, ask{Read: true, Inputs: 2}},
		{"moderation of parts", answer.Moderations, `{"input":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"u"}}]}`, ask{Read: true, Inputs: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.want.Route = inference(c.api)
			body := []byte(c.body)
			got := answer.AskOf(c.want.Route, "application/json", body)
			if got != c.want {
				t.Errorf("%s:\ngot  %+v\nwant %+v", c.body, got, c.want)
			}
			// A document that breaks off anywhere is not read.
			for n := range len(strings.TrimRight(c.body, " \n")) {
				if got := answer.AskOf(c.want.Route, "", body[:n]); got != (ask{Route: c.want.Route}) {
					t.Fatalf("%s is read: %+v", body[:n], got)
				}
			}
		})
	}
}

func TestAskOfNotRead(t *testing.T) {
	r := inference(answer.Ollama)
	for _, body := range []string{
		"", " ", "null", "[]", `[{"stream":true}]`, `"{}"`, "{", `{"model"`, `{"model":`, `{"model":"m"`, `{"model":"m",`,
		`{"model":"m"}}`, `{"model":"m"} x`, `{"model":"m"}{}`, `{"model":"m"},`, `{"model":"m";"n":1}`, `{"model":"m","n":1]`,
		`{model:"m"}`, `{"model":m}`, `{"model" "m"}`, `{"n":1 2}`, `{"messages":[}`, `{"model":"m"` + "\x00}", `{"model":"m"}` + "\x00",
		"hello", "--x\r\nContent-Disposition: form-data", "model=m&stream=true", "\xff\xfe{\x00}\x00",
	} {
		if got := answer.AskOf(r, "application/json", []byte(body)); got != (answer.Ask{Route: r}) {
			t.Errorf("%q: got %+v, want only the route", body, got)
		}
	}
}

func TestAskOfContentType(t *testing.T) {
	r := inference(answer.Chat)
	for contentType, read := range map[string]bool{
		"": true, "application/json": true, "application/json; charset=utf-8": true, "APPLICATION/JSON": true,
		"application/vnd.x+json": true, "multipart/form-data; boundary=x": false, "application/x-www-form-urlencoded": false,
		"text/html": false, "text/event-stream": false, "application/x-ndjson": false, "audio/wav": false,
	} {
		if got := answer.AskOf(r, contentType, []byte(`{"model":"m"}`)); got.Read != read || got.Route != r {
			t.Errorf("%q: got %+v, want Read %v", contentType, got, read)
		}
	}
}

func TestAskOfStreamOfPath(t *testing.T) {
	r := streaming(answer.Gemini)
	if got := answer.AskOf(r, "", []byte(`{"contents":[]}`)); !got.Stream {
		t.Errorf("got %+v, want Stream", got)
	}
}

// chatBody returns the body of a chat request of about size bytes.
func chatBody(size int) []byte {
	const turn = `{"role":"user","content":"Tell me, in a \"few\" words, what a canary release is and why it is not a bird.\nThanks."},` +
		`{"role":"assistant","content":"A release to a small share of the traffic, compared with the rest before it goes on."},`
	var b strings.Builder
	b.WriteString(`{"model":"gpt-4o-mini","temperature":0.2,"stream":true,"stream_options":{"include_usage":true},"messages":[`)
	for b.Len() < size-600 {
		b.WriteString(turn)
	}
	b.WriteString(`{"role":"user","content":"And then?"}],"tools":[{"type":"function","function":{"name":"weather",` +
		`"description":"The weather of a place","parameters":{"type":"object","properties":{"place":{"type":"string"},` +
		`"unit":{"type":"string","enum":["c","f"]}},"required":["place"]}}}],"max_tokens":512,"user":"u-1"}`)
	return []byte(b.String())
}

func TestAskOfAllocs(t *testing.T) {
	r := inference(answer.Chat)
	for _, c := range []struct {
		body string
		want float64
	}{
		{string(chatBody(2 << 10)), 1}, // the model
		{`{"stream":true,"n":2,"tools":[{"type":"mcp"}],"input":["a"]}`, 0},
		{`{"model":"m","previous_response_id":"r"}`, 2},
	} {
		body := []byte(c.body)
		if n := testing.AllocsPerRun(20, func() { answer.AskOf(r, "application/json", body) }); n > c.want {
			t.Errorf("%.60s: %v allocations, want %v", c.body, n, c.want)
		}
	}
}

func FuzzAskOf(f *testing.F) {
	f.Add(uint8(answer.Chat), "application/json", chatBody(1<<10))
	f.Add(uint8(answer.Embeddings), "", []byte(`{"input":[[1,2],[3]],"input":["a"]}`))
	f.Add(uint8(answer.Responses), "", []byte(`{"input":[{"content":[{"file_id":"f"}]}],"conversation":{"id":"c\u0020"},"tools":[{"type":"mcp"},1]}`))
	f.Fuzz(func(t *testing.T, api uint8, contentType string, body []byte) {
		r := answer.Route{API: answer.API(api), Kind: answer.Inference}
		got := answer.AskOf(r, contentType, body)
		if got != answer.AskOf(r, contentType, body) {
			t.Fatal("not pure")
		}
		if !got.Read && got != (answer.Ask{Route: r}) {
			t.Errorf("not read, but %+v", got)
		}
		if got.Route != r || got.N < 0 || got.Inputs < 0 || got.MaxTokens < 0 {
			t.Errorf("got %+v", got)
		}
	})
}

func BenchmarkAskOf(b *testing.B) {
	for name, size := range map[string]int{"2KB": 2 << 10, "16KB": 16 << 10} {
		body := chatBody(size)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				answer.AskOf(answer.Route{API: answer.Chat, Kind: answer.Inference}, "application/json", body)
			}
		})
	}
}
