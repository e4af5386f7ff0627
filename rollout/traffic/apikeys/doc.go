// Package apikeys provides authentication of callers by API keys for an LLM gateway:
// hashed keys, teams, and a budget for each team.
//
// A file in JSON has a member for each key, named by the SHA-256 of the key, so that the
// file holds no secret:
//
//	{
//		"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b": {"team": "search", "budget": 25.50},
//		"fcf730b6d95236ecd3c9fc2d92d7b6b2bb061514961aec041d6c7a7192f592e4": {"team": "support"}
//	}
//
// [Read] reads it, and [Require] puts it in front of a handler:
//
//	keys, err := apikeys.Read(file)
//	guarded := ledger.Guard(router, apikeys.TeamOf, keys.Budget) // package cost
//	handler := apikeys.Require(guarded, keys.Authenticate)
//
// Make a key of at least 128 random bits, since a hash does not protect a key that can
// be guessed:
//
//	key=$(openssl rand -hex 32)
//	printf %s "$key" | sha256sum
//
// # Dependencies
//
// The standard library; of this module checks and checks/analysis.
package apikeys
