// Package webauthn is a second factor by passkeys and security keys (Web Authentication, W3C
// Level 3), which cannot be phished: a key answers only the site that it was made for.
//
//	keys, err := webauthn.New(webauthn.Config{
//		ID: "gateway.example.com", Origins: []string{"https://gateway.example.com"}, Store: store,
//	})
//
// To enrol, send the options of [Keys.Enroll] to the browser of a person who is signed in, give
// them to navigator.credentials.create, and give the answer to [Keys.Confirm]:
//
//	const options = PublicKeyCredential.parseCreationOptionsFromJSON(await (await fetch("enroll")).json())
//	const key = await navigator.credentials.create({publicKey: options})
//	await fetch("confirm", {method: "POST", body: JSON.stringify(key)})
//
// To prove, do the same with [Keys.Challenge], navigator.credentials.get and [Keys.Verify],
// which is an [access.Factor]: its code is the JSON that the browser returns.
//
// Each challenge is good once, for five minutes and one person. The key must have verified the
// person, by a PIN or a fingerprint. A key that counts its uses must count upwards: otherwise a
// copy of it may exist, its answer is refused, and [Config.Cloned] is called.
//
// The package uses github.com/go-webauthn/webauthn, which implements the standard. It is a
// module of its own, so that others do not load it.
package webauthn
