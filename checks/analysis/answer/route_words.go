package answer

// A word is the role of one segment of a path. Segments that are no word are
// identifiers or belong to a prefix.
type word uint8

const (
	noWord word = iota
	root        // what comes before the first segment

	// Words that begin a family: all paths below them have one kind.
	resourceFamily
	controlFamily

	// Words that an identifier follows, and below it perhaps an inference route.
	collection // deployments, endpoints, tunedModels
	modelList  // models, engines
	modelWord  // model, of Bedrock and LiteLLM
	projects
	locations

	// Words that begin a family in some places.
	blobs
	completions
	realtime
	responses
	slots
	voices

	version1
	version2
	version // v1beta, v3

	// Words that stand before others. From here on a word does not change what
	// the words behind it mean.
	leaves
	apiWord
	openAI
	anthropic
	audio
	fim
	adminNoun // key, user, team: what LiteLLM manages

	// Last segments that need no other word before them.
	readWord    // GET reads something about the server
	computeWord // POST computes something without a model
	controlWord // any method changes how the server works
	setting     // GET reads it, other methods change how the server works

	// Last segments that need a look at the words before them.
	adminVerb
	anyInference
	awsInvoke
	awsStream
	batch
	chat
	classify
	compact
	completion
	deleteWord
	embed
	embeddings
	embedding
	generate
	generateStream
	health
	images
	imageVerb
	invocationsStream
	loadWord
	messages
	moderations
	ollamaControl // pull, push, create, copy, signout
	ollamaRead    // tags, ps
	ping
	show
	speech
	summarize
	transcriptions
	translations
	weightsByName
)

// vocabulary lists the segments of each role. Sources: the OpenAPI documents and
// clients of OpenAI, Anthropic, Google and Cohere; the servers of Ollama, vLLM,
// SGLang, llama.cpp, TGI and LiteLLM; the API reference of Amazon Bedrock.
var vocabulary = [][]string{
	resourceFamily: {
		// OpenAI
		"batches", "files", "uploads", "fine_tuning", "fine-tunes", "vector_stores", "assistants", "threads",
		"conversations", "containers", "skills", "evals", "videos", "client_secrets", "transcription_sessions",
		// Anthropic
		"agents", "sessions", "environments", "memory_stores", "vaults", "user_profiles", "dreams", "tunnels",
		"deployment_runs",
		// Gemini and Vertex
		"upload", "cachedContents", "operations", "corpora", "tuningJobs", "fileSearchStores", "generatedFiles",
		"batchPredictionJobs", "customJobs", "hyperparameterTuningJobs", "trainingPipelines", "pipelineJobs",
		"reasoningEngines", "ragCorpora", "indexes", "indexEndpoints", "featurestores", "deploymentResourcePools",
		// Cohere
		"datasets", "embed-jobs", "connectors", "finetuning",
		// Bedrock and SageMaker
		"async-invoke", "async-invocations",
		// SGLang
		"open_session", "close_session",
	},
	controlFamily: {"organization", "organizations"},
	collection:    {"deployments", "endpoints", "tunedModels"},
	modelList:     {"models", "engines"},
	modelWord:     {"model"},
	projects:      {"projects"},
	locations:     {"locations"},
	version1:      {"v1"},
	version2:      {"v2"},
	version:       {"v1alpha", "v1beta", "v1beta1", "v1beta2", "v3", "v4"},
	apiWord:       {"api"},
	openAI:        {"openai"},
	anthropic:     {"anthropic"},
	audio:         {"audio"},
	fim:           {"fim"},
	adminNoun: {
		"key", "user", "team", "customer", "end_user", "budget", "tag", "project", "service-account", "invitation",
		"config", "cache", "model_group", "access_group",
	},
	adminVerb: {
		"new", "update", "block", "unblock", "regenerate", "bulk_update", "member_add", "member_update",
		"member_delete", "flushall", "reset_spend", "reset",
	},
	readWord: {
		"version", "metrics", "server_info", "info", "health_generate", "get_model_info", "model_info",
		"get_server_info", "get_load", "loads", "get_weight_version", "weight_version", "is_sleeping", "is_paused",
		"get_world_size", "tokenizer_info", "docs", "redoc", "openapi.json", "credits", "generation", "providers",
	},
	computeWord: {
		"tokenize", "detokenize", "chat_tokenize", "apply-template", "render", "input_tokens", "count_tokens",
		"count-tokens", "token_counter", "transform_request", "parse_function_call", "separate_reasoning",
		"check-api-key", "is_scaling_elastic_ep",
	},
	controlWord: {
		// vLLM
		"sleep", "wake_up", "pause", "resume", "collective_rpc", "start_profile", "stop_profile", "abort_request",
		"abort_requests", "scale_elastic_ep", "load_lora_adapter", "unload_lora_adapter", "start_weight_update",
		"finish_weight_update",
		// SGLang
		"flush_cache", "load_lora_adapter_from_tensors", "destroy_weights_update_group", "update_weight_version",
		"send_weights_to_remote_instance", "release_memory_occupation", "resume_memory_occupation", "slow_down",
		"set_internal_state", "configure_logging", "pause_generation", "continue_generation", "freeze_gc",
		"start_expert_distribution_record", "stop_expert_distribution_record", "dump_expert_distribution_record",
		"clear_hicache_storage_backend",
		// llama.cpp
		"unload",
	},
	setting:           {"props", "lora-adapters", "storage-backend"},
	anyInference:      {"invocations", "encode"},
	awsInvoke:         {"invoke", "converse"},
	awsStream:         {"invoke-with-response-stream", "converse-stream"},
	batch:             {"batch"},
	blobs:             {"blobs"},
	chat:              {"chat"},
	classify:          {"classify", "score", "pooling", "rerank", "reranking"},
	compact:           {"compact"},
	completion:        {"completion", "infill"},
	completions:       {"completions"},
	deleteWord:        {"delete"},
	embed:             {"embed"},
	embeddings:        {"embeddings"},
	embedding:         {"embedding"},
	generate:          {"generate"},
	generateStream:    {"generate_stream"},
	health:            {"health"},
	images:            {"images"},
	imageVerb:         {"generations", "edits", "variations"},
	invocationsStream: {"invocations-response-stream"},
	loadWord:          {"load"},
	messages:          {"messages"},
	moderations:       {"moderations"},
	ollamaControl:     {"pull", "push", "create", "copy", "signout"},
	ollamaRead:        {"tags", "ps"},
	ping:              {"ping"},
	realtime:          {"realtime"},
	responses:         {"responses"},
	show:              {"show"},
	slots:             {"slots"},
	speech:            {"speech"},
	summarize:         {"summarize"},
	transcriptions:    {"transcriptions"},
	translations:      {"translations"},
	voices:            {"voices", "voice_consents"},
	weightsByName:     {"get_weights_by_name"},
}

// wordSlots is the size of the table of words.
const (
	wordBits  = 10
	wordSlots = 1 << wordBits
)

// wordTable is the vocabulary by hash, with linear probing. A slot without text
// is free.
var wordTable = hashWords()

type wordEntry struct {
	text string
	word word
}

func hashWords() *[wordSlots]wordEntry {
	var t [wordSlots]wordEntry
	for w, texts := range vocabulary {
		for _, text := range texts {
			i := wordHash(text) % wordSlots
			for t[i].text != "" {
				i = (i + 1) % wordSlots
			}
			t[i] = wordEntry{text, word(w)}
		}
	}
	return &t
}

// wordHash hashes text, which is not empty.
func wordHash(text string) uint32 {
	n := uint32(len(text))
	h := n<<16 ^ uint32(text[0]) ^ uint32(text[n/2])<<8 ^ uint32(text[n-1])<<11
	return h * 0x9E3779B1 >> (32 - wordBits)
}

// wordOf returns the role of a segment, which is not empty.
func wordOf(segment string) word {
	if len(segment) == 2 && segment[0] == 'v' { // nearly all paths have one
		switch segment[1] {
		case '1':
			return version1
		case '2':
			return version2
		}
	}
	for i := wordHash(segment) % wordSlots; ; i = (i + 1) % wordSlots {
		e := &wordTable[i]
		if len(e.text) == len(segment) && e.text == segment {
			return e.word
		}
		if e.text == "" {
			return noWord
		}
	}
}
