// Package jsclients tests that the clients people use from JavaScript work
// unmodified through a router: the packages openai, ai (with @ai-sdk/openai) and
// @anthropic-ai/sdk. SERIN_NODE_MODULES names the folder that they are installed
// in.
package jsclients
