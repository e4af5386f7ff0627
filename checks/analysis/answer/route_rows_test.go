package answer_test

import (
	"strings"

	"github.com/serin-go/serin/checks/analysis/answer"
)

func inference(api answer.API) answer.Route {
	return answer.Route{API: api, Kind: answer.Inference}
}

func streaming(api answer.API) answer.Route {
	return answer.Route{API: api, Kind: answer.Inference, Stream: true}
}

var (
	unknown   = answer.Route{}
	auxiliary = answer.Route{Kind: answer.Auxiliary}
	resource  = answer.Route{Kind: answer.Resource}
	realtime  = answer.Route{Kind: answer.Realtime}
	control   = answer.Route{Kind: answer.Control}
)

// routes lists for each route the methods and paths that have it.
var routes = []struct {
	want     answer.Route
	requests string // METHOD path, one on a line
}{
	{inference(answer.Chat), `
		POST /v1/chat/completions
		POST /chat/completions
		POST /openai/v1/chat/completions
		POST /api/v1/chat/completions
		POST /v1/chat/completions/
		POST /v1/chat/completions/batch
		POST /openai/deployments/gpt-4o/chat/completions
		POST /openai/deployments/files/chat/completions
		POST /models/chat/completions
		POST /engines/llama.cpp/v1/chat/completions
		POST /v1beta/openai/chat/completions
		POST /v1/projects/p/locations/us-central1/endpoints/openapi/chat/completions
		POST /v1beta1/projects/files/locations/global/endpoints/batches/chat/completions
		POST /a%20b/v1/chat/completions`},
	{inference(answer.Completions), `
		POST /v1/completions
		POST /openai/deployments/babbage-002/completions
		POST /v1/engines/davinci/completions
		POST /completion
		POST /infill`},
	{inference(answer.Responses), `
		POST /v1/responses
		POST /openai/responses
		POST /openai/v1/responses/
		POST /v1/responses/compact
		POST /api/projects/p/openai/v1/responses`},
	{inference(answer.Messages), `
		POST /v1/messages
		POST /anthropic/v1/messages
		POST /messages`},
	{inference(answer.Gemini), `
		POST /v1beta/models/gemini-2.5-flash:generateContent
		POST /v1/models/gemini-2.5-flash:generateContent
		POST /v1beta/tunedModels/mine-123:generateContent
		POST /v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent
		POST /v1/projects/p/locations/l/endpoints/42:generateContent`},
	{streaming(answer.Gemini), `
		POST /v1beta/models/gemini-2.5-flash:streamGenerateContent
		POST /v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:streamGenerateContent`},
	{inference(answer.Ollama), `
		POST /api/chat
		POST /api/generate
		POST /ollama/api/chat`},
	{inference(answer.Cohere), `
		POST /v2/chat
		POST /cohere/v2/chat`},
	{inference(answer.TGI), `
		POST /generate
		POST /tgi/generate`},
	{streaming(answer.TGI), `
		POST /generate_stream`},
	{inference(answer.Embeddings), `
		POST /v1/embeddings
		POST /api/embed
		POST /api/embeddings
		POST /v2/embed
		POST /v1/embed
		POST /openai/deployments/text-embedding-3-small/embeddings
		POST /v1beta/models/gemini-embedding-001:embedContent
		POST /v1beta/models/gemini-embedding-001:batchEmbedContents`},
	{inference(answer.Rerank), `
		POST /v1/rerank
		POST /v2/rerank
		POST /rerank
		POST /score
		POST /v1/score
		POST /classify
		POST /v1/classify
		POST /pooling`},
	{inference(answer.Moderations), `
		POST /v1/moderations`},
	{inference(answer.Images), `
		POST /v1/images/generations
		POST /v1/images/edits
		POST /v1/images/variations
		POST /openai/deployments/gpt-image-1/images/generations`},
	{inference(answer.Speech), `
		POST /v1/audio/speech`},
	{inference(answer.Transcription), `
		POST /v1/audio/transcriptions
		POST /v1/audio/translations
		POST /openai/deployments/whisper/audio/transcriptions`},
	{inference(answer.Any), `
		POST /v1/chat
		POST /invocations
		POST /endpoints/mine/invocations
		POST /model/anthropic.claude-3-haiku-20240307-v1:0/invoke
		POST /model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke
		POST /model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x/converse
		POST /model/arn:aws:bedrock:us-east-1:1:inference-profile/us.x/converse
		POST /model/files/invoke
		POST /v1/projects/p/locations/l/publishers/anthropic/models/claude:rawPredict
		POST /v1/projects/p/locations/l/endpoints/42:predict
		POST /v1beta/models/imagen-4.0-generate-001:predict`},
	{streaming(answer.Any), `
		POST /model/anthropic.claude-3-haiku-20240307-v1:0/invoke-with-response-stream
		POST /model/amazon.nova-lite-v1:0/converse-stream
		POST /v1/projects/p/locations/l/publishers/anthropic/models/claude:streamRawPredict`},
	{auxiliary, `
		GET /
		HEAD /
		GET /v1/models
		GET /v1/models/
		GET /v1/models/gpt-4o
		GET /v1/models/files
		GET /v1/models/realtime
		GET /v1/models/sleep
		GET /v1/models/ft:gpt-4o:org::id
		GET /v1/models/meta-llama/Llama-3-8B
		GET /api/v1/models/openai/gpt-4o/endpoints
		GET /v1beta/models/gemini-2.5-flash
		GET /openai/models
		POST /v1/responses/input_tokens
		POST /v1/messages/count_tokens
		POST /tokenize
		POST /detokenize
		POST /v1/tokenize
		POST /v1/chat/completions/render
		POST /v1/completions/render
		POST /apply-template
		POST /v1beta/models/gemini-2.5-flash:countTokens
		POST /v1/projects/p/locations/l/publishers/google/models/gemini:computeTokens
		GET /health
		GET /health/readiness
		GET /ping
		POST /ping
		GET /version
		GET /load
		GET /metrics
		GET /server_info
		GET /info
		GET /props
		GET /slots
		GET /lora-adapters
		GET /api/tags
		GET /api/ps
		GET /api/version
		POST /api/show
		OPTIONS /v1/chat/completions
		HEAD /v1/chat/completions
		OPTIONS /v1/files
		HEAD /v1/organization/users
		OPTIONS *`},
	{resource, `
		POST /v1/batches
		GET /v1/batches/batch_1
		POST /v1/batches/batch_1/cancel
		POST /v1/files
		GET /v1/files/file-1
		GET /v1/files/file-1/content
		DELETE /v1/files/file-1
		DELETE /openai/files/file-1
		POST /v1/uploads
		POST /v1/uploads/u/parts
		POST /v1/uploads/u/complete
		POST /v1/uploads/u/cancel
		POST /v1/fine_tuning/jobs
		POST /v1/fine_tuning/jobs/ftjob-1/cancel
		POST /v1/fine_tuning/jobs/ftjob-1/pause
		GET /v1/fine_tuning/jobs/ftjob-1/events
		POST /v1/vector_stores/vs/search
		POST /v1/vector_stores/vs/file_batches
		POST /v1/assistants
		POST /v1/threads
		POST /v1/threads/thread_1/messages
		POST /v1/threads/thread_1/runs/run_1/submit_tool_outputs
		POST /v1/threads/runs
		POST /v1/conversations
		POST /v1/conversations/conv_1/items
		POST /v1/containers
		GET /v1/containers/c/files/f/content
		POST /v1/skills
		POST /v1/evals
		POST /v1/evals/e/runs
		POST /v1/videos
		POST /v1/videos/v/remix
		GET /v1/responses/resp_1
		DELETE /v1/responses/resp_1
		POST /v1/responses/resp_1/cancel
		GET /v1/responses/resp_1/input_items
		GET /v1/chat/completions
		GET /v1/chat/completions/chatcmpl-1
		POST /v1/chat/completions/chatcmpl-1
		DELETE /v1/chat/completions/chatcmpl-1
		GET /v1/chat/completions/chatcmpl-1/messages
		DELETE /v1/models/ft:gpt-4o:org::id
		DELETE /v1/models/pause
		POST /v1/realtime/sessions
		POST /v1/realtime/client_secrets
		POST /v1/realtime/transcription_sessions
		POST /v1/realtime/calls
		POST /v1/realtime/calls/rtc_1/hangup
		POST /v1/messages/batches
		GET /v1/messages/batches/msgbatch_1/results
		POST /v1/agents
		POST /v1/sessions/sesn_1/events
		POST /v1/environments
		POST /v1/memory_stores/m/memories
		POST /v1/deployments
		POST /v1/deployments/d/pause
		POST /upload/v1beta/files
		DELETE /v1beta/files/abc
		POST /v1beta/cachedContents
		PATCH /v1beta/cachedContents/c
		POST /v1beta/models/gemini-2.5-flash:batchGenerateContent
		POST /v1beta/models/gemini-embedding-001:asyncBatchEmbedContent
		POST /v1beta/models/veo-3.0-generate-preview:predictLongRunning
		GET /v1beta/models/veo-3.0-generate-preview/operations/op
		POST /v1beta/batches/b:cancel
		POST /v1beta/tunedModels
		DELETE /v1beta/tunedModels/t
		POST /v1beta/tunedModels/t/permissions
		GET /v1beta/operations/op
		POST /v1beta/corpora/c:query
		POST /v1/projects/p/locations/l/tuningJobs
		POST /v1/projects/p/locations/l/endpoints/42:deployModel
		POST /api/blobs/sha256:29fdb92e57cf0827ded04ae6461b5931d01fa595843f55d36f5b275a52087dd2
		POST /slots
		POST /slots/0
		POST /v1/datasets
		POST /v1/embed-jobs
		POST /v1/connectors
		POST /async-invoke`},
	{realtime, `
		GET /v1/realtime
		GET /openai/realtime
		GET /openai/v1/realtime
		CONNECT /v1/realtime
		GET /ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent
		GET /ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent`},
	{control, `
		GET /v1/organization/users
		POST /v1/organization/admin_api_keys
		DELETE /v1/organization/projects/p/api_keys/k
		POST /v1/organization/files
		GET /v1/organizations/workspaces
		POST /v1/projects/p/roles
		GET /v1/projects
		POST /sleep
		POST /wake_up
		POST /pause
		POST /resume
		POST /reset_prefix_cache
		POST /reset_mm_cache
		POST /reset_encoder_cache
		POST /flush_cache
		GET /flush_cache
		POST /v1/load_lora_adapter
		POST /v1/unload_lora_adapter
		POST /update_weights
		POST /update_weights_from_disk
		POST /init_weights_update_group
		POST /init_weight_transfer_engine
		POST /collective_rpc
		POST /start_profile
		POST /stop_profile
		POST /abort_request
		POST /props
		POST /lora-adapters
		POST /models/load
		POST /models/unload
		POST /api/pull
		POST /api/push
		POST /api/create
		POST /api/copy
		POST /api/signout
		DELETE /api/delete
		POST /key/generate
		POST /model/new
		POST /team/update`},
	{unknown, `
		POST /
		POST /v1
		POST /v1/unheard-of
		GET /v1/unheard-of
		GET /v1/embeddings
		GET /v1/responses
		GET /v1/messages
		PUT /v1/chat/completions
		DELETE /v1/chat/completions
		TRACE /v1/chat/completions
		post /v1/chat/completions
		BREW /v1/files
		CONNECT /v1/chat/completions
		POST v1/chat/completions
		POST /v1//chat/completions
		POST //v1/chat/completions
		POST /v1/chat//completions
		POST /v1/chat/completions//
		POST /v1/./chat/completions
		POST /v1/../v1/chat/completions
		POST /v1/files/../chat/completions
		POST /v1/chat/completions/.
		POST /v1/%2e%2e/v1/chat/completions
		POST /v1/chat%2Fcompletions
		POST /v1/ch%61t/completions
		POST /v1/chat/complet%69ons
		POST /v1%2Fchat/completions
		POST /v1/chat%/completions
		POST /v1/chat/completions%
		POST /v1/chat%zz/v1/completions
		POST /v1/threads%2Ft/messages
		POST /threads\t\messages/completions
		POST /v1beta/models/gemini%2Dpro:generateContent
		POST /v1beta/models/gemini-pro%3AgenerateContent
		POST /v1beta/models/gemini-pro:unheardOf
		POST /v1beta/models/gemini-pro:
		POST /model/x%2F..%2Ffiles/invoke
		POST /v1/Chat/Completions
		POST /v1/chat/completions?x=1
		POST /v1/teams/messages
		POST /chat
		POST /speech
		POST /v1/generations
		POST /invoke
		POST /pull
		DELETE /delete`},
}

// eachRoute calls f for each row of routes.
func eachRoute(f func(method, path string, want answer.Route)) {
	for _, row := range routes {
		for line := range strings.Lines(row.requests) {
			if method, path, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				f(method, path, row.want)
			}
		}
	}
}
