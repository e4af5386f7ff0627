package sse

import "time"

// seen is the part of a Stream that most tests are about.
type seen struct {
	First, Last, FirstContent, Stall                                    time.Duration
	Chunks, ContentChunks, Coalesced                                    int
	InputTokens, OutputTokens, CachedTokens, ReasoningTokens, ToolCalls int
	FromUsage                                                           bool
	FinishReason                                                        string
	Refusal, Failed, Done, Known                                        bool
	Events, Malformed                                                   int
}

func view(s Stream) seen {
	return seen{
		First: s.First, Last: s.Last, FirstContent: s.FirstContent, Stall: s.Stall, Chunks: s.Chunks, ContentChunks: s.ContentChunks, Coalesced: s.Coalesced,
		InputTokens: s.InputTokens, OutputTokens: s.OutputTokens, CachedTokens: s.CachedTokens, ReasoningTokens: s.ReasoningTokens, ToolCalls: s.ToolCalls,
		FromUsage: s.FromUsage, FinishReason: s.FinishReason, Refusal: s.Refusal, Failed: s.Failed,
		Done: s.Terminated || s.NumFinishes > 0, Known: s.Known, Events: s.Events, Malformed: s.Malformed,
	}
}
