package api

import "net/http"

// routes are all operations, as openapi.json describes them.
var routes = []route{
	{method: http.MethodGet, pattern: "/openapi.json", answer: (*Server).describeAPI},
	{method: http.MethodGet, pattern: "/whoami", answer: (*Server).whoAmI},
	{method: http.MethodGet, pattern: "/targets", answer: (*Server).listTargets},
	{method: http.MethodGet, pattern: "/targets/{target}", answer: (*Server).showTarget},

	{method: http.MethodGet, pattern: "/rollouts", query: []string{"target", "outcome", "by", "before", "limit"}, answer: (*Server).history},
	{method: http.MethodPost, pattern: "/rollouts", answer: (*Server).start},
	{method: http.MethodGet, pattern: "/rollouts/{target}/{number}", answer: (*Server).showRollout},
	{method: http.MethodGet, pattern: "/rollouts/{target}/{number}/state", answer: (*Server).showState},
	{method: http.MethodGet, pattern: "/rollouts/{target}/{number}/plan", answer: (*Server).showPlan},
	{method: http.MethodGet, pattern: "/rollouts/{target}/{number}/judgement", answer: (*Server).showJudgement},
	{method: http.MethodGet, pattern: "/rollouts/{target}/{number}/events", query: []string{"from", "limit", "wait"}, answer: (*Server).listEvents},
	{method: http.MethodGet, pattern: "/rollouts/{target}/{number}/events/{seq}", answer: (*Server).showEvent},
	{method: http.MethodGet, pattern: "/rollouts/{target}/{number}/events/{seq}/explain", answer: (*Server).explain},
	{method: http.MethodGet, pattern: "/rollouts/{target}/{number}/events/{seq}/proof", answer: (*Server).prove},
	{method: http.MethodPost, pattern: "/rollouts/{target}/{number}/commands", answer: (*Server).command},
	{method: http.MethodPost, pattern: "/rollouts/{target}/{number}/retry", answer: (*Server).retry},

	{method: http.MethodPost, pattern: "/plans/validate", query: []string{"start"}, answer: (*Server).validate, keyless: true},
	{method: http.MethodPost, pattern: "/plans/forecast", answer: (*Server).forecast, keyless: true},
	{method: http.MethodPost, pattern: "/plans/diff", answer: (*Server).diff, keyless: true},

	{method: http.MethodGet, pattern: "/stream", query: []string{"see"}, stream: (*Server).streamStates},

	{method: http.MethodGet, pattern: "/audit/{target}/verify", answer: (*Server).verify},
	{method: http.MethodGet, pattern: "/audit/{target}/export", stream: (*Server).export},
	{method: http.MethodGet, pattern: "/audit/{target}/checkpoint", answer: (*Server).checkpoint},
	{method: http.MethodGet, pattern: "/deadletters", answer: (*Server).deadLetters},
	{method: http.MethodPost, pattern: "/deadletters", answer: (*Server).redeliver},

	{method: http.MethodGet, pattern: "/checklists/{list}", query: []string{"rollout"}, answer: (*Server).showChecklist},
	{method: http.MethodPost, pattern: "/checklists/{list}/items/{item}/votes", answer: (*Server).vouch},
	{method: http.MethodPost, pattern: "/checklists/{list}/items/{item}/waivers", answer: (*Server).waive},
	{method: http.MethodDelete, pattern: "/records/{seq}", query: []string{"reason"}, answer: (*Server).withdraw},

	{method: http.MethodGet, pattern: "/alerts", answer: (*Server).showAlerts},
	{method: http.MethodPost, pattern: "/silences", answer: (*Server).silence},
	{method: http.MethodPost, pattern: "/silences/{silence}/second", answer: (*Server).second},
	{method: http.MethodDelete, pattern: "/silences/{silence}", answer: (*Server).unsilence},
	{method: http.MethodPost, pattern: "/receivers/{receiver}/test", answer: (*Server).testReceiver},

	{method: http.MethodGet, pattern: "/tokens", answer: (*Server).listTokens},
	{method: http.MethodPost, pattern: "/tokens", answer: (*Server).issueToken},
	{method: http.MethodDelete, pattern: "/tokens/{token}", answer: (*Server).revokeToken},

	{method: http.MethodGet, pattern: "/health", answer: (*Server).showHealth},
	{method: http.MethodGet, pattern: "/{panel}", answer: (*Server).showPanel},
	{method: http.MethodGet, pattern: "/{panel}/{id}", answer: (*Server).showPanel},
}
