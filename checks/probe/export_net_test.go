package probe

var Stapled = stapled
