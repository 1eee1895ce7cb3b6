// Command gojson compares serialisations: it knows the wire formats as Go structs and nothing else.
//
// Each line of standard input is `<kind> <hex>`. Kinds `handle`, `envelope` and `token` carry JSON, which is
// parsed into the struct and written again; `string` carries the raw bytes of a Go string, valid UTF-8 or not;
// `make-...` carry a seed, from which Go fills a struct at random. Each line of the answer is the hex of what
// encoding/json makes of it, or `error <text>`.
package main

import (
	"bufio"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"strings"
)

type ID struct {
	PublicKey []byte
}

type idJSON struct {
	Pub string `json:"pub"`
}

func (id ID) MarshalJSON() ([]byte, error) {
	return json.Marshal(idJSON{base32.StdEncoding.EncodeToString(id.PublicKey)})
}

func (id *ID) UnmarshalJSON(data []byte) error {
	var text idJSON
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	key, err := base32.StdEncoding.DecodeString(text.Pub)
	id.PublicKey = key
	return err
}

type DID struct {
	URI string `json:"uri,omitempty"`
}

type Address struct {
	Host  string `json:"host,omitempty"`
	Inbox string `json:"inbox,omitempty"`
}

type Handle struct {
	ID      ID      `json:"id"`
	DID     DID     `json:"did"`
	Address Address `json:"addr"`
}

type Options struct {
	Expire  uint64 `json:"exp"`
	ReplyTo string `json:"cont,omitempty"`
	Topic   string `json:"topic,omitempty"`
}

type Envelope struct {
	To         Handle  `json:"to"`
	Behavior   string  `json:"be"`
	From       Handle  `json:"from"`
	Nonce      uint64  `json:"nonce"`
	Options    Options `json:"opt"`
	Message    []byte  `json:"msg"`
	Capability []byte  `json:"cap,omitempty"`
	Signature  []byte  `json:"sig,omitempty"`
}

type Token struct {
	DMS *DMSToken `json:"dms,omitempty"`
}

type DMSToken struct {
	Action     string   `json:"act"`
	Issuer     DID      `json:"iss"`
	Subject    DID      `json:"sub"`
	Audience   DID      `json:"aud"`
	Topic      []string `json:"topic,omitempty"`
	Capability []string `json:"cap"`
	Nonce      []byte   `json:"nonce"`
	Expire     uint64   `json:"exp"`
	Depth      uint64   `json:"depth,omitempty"`
	Chain      *Token   `json:"chain,omitempty"`
	Signature  []byte   `json:"sig,omitempty"`
}

var pieces = []string{
	"a", "/", "dms", "<", ">", "&", "\"", "\\", "\u2028", "\u2029", "\x00", "\x08", "\x0c", "\n", "\r", "\t", "\x1f",
	"\x7f", "é", "\U0001f600", "\ufffd", "\u00a0", "\ufeff", "'", " ", "\\u2028", "\u0085",
}

func text(r *rand.Rand) string {
	var out strings.Builder
	for n := r.Intn(8); n > 0; n-- {
		out.WriteString(pieces[r.Intn(len(pieces))])
	}
	return out.String()
}

func blob(r *rand.Rand, size int) []byte {
	if size == 0 && r.Intn(2) == 0 {
		return nil
	}
	data := make([]byte, size)
	r.Read(data)
	return data
}

func number(r *rand.Rand) uint64 {
	edges := []uint64{0, 1, 1 << 53, 1<<53 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	if r.Intn(2) == 0 {
		return edges[r.Intn(len(edges))]
	}
	return r.Uint64()
}

func did(r *rand.Rand, empty bool) DID {
	if empty && r.Intn(3) == 0 {
		return DID{}
	}
	return DID{"did:key:z" + text(r)}
}

func handle(r *rand.Rand) Handle {
	if r.Intn(5) == 0 {
		return Handle{}
	}
	return Handle{ID{append([]byte{8, 1, 18, 32}, blob(r, 32)...)}, did(r, true), Address{text(r), text(r)}}
}

func envelope(r *rand.Rand) Envelope {
	options := Options{number(r), text(r), text(r)}
	return Envelope{
		handle(r), text(r), handle(r), number(r), options, blob(r, r.Intn(3)*r.Intn(50)), blob(r, r.Intn(3)*7),
		blob(r, 64*r.Intn(2)),
	}
}

func paths(r *rand.Rand, prefix string) []string {
	if r.Intn(4) == 0 {
		return nil
	}
	list := []string{}
	for n := r.Intn(4); n > 0; n-- {
		list = append(list, prefix+text(r)+"x")
	}
	return list
}

func token(r *rand.Rand, links int) Token {
	actions := []string{"invoke", "delegate", "broadcast", "revoke"}
	inner := &DMSToken{
		Action: actions[r.Intn(4)], Issuer: did(r, false), Subject: did(r, false), Audience: did(r, true),
		Topic: paths(r, ""), Capability: paths(r, "/"), Nonce: blob(r, 12), Expire: number(r),
		Depth: number(r), Signature: blob(r, 64*r.Intn(2)),
	}
	if links > 1 && r.Intn(3) > 0 {
		chain := token(r, links-1)
		inner.Chain = &chain
	}
	return Token{inner}
}

func fill(kind string, data []byte) (interface{}, error) {
	seed, err := strconv.ParseInt(string(data), 10, 64)
	r := rand.New(rand.NewSource(seed))
	switch kind {
	case "make-handle":
		return handle(r), err
	case "make-envelope":
		return envelope(r), err
	default:
		return token(r, 5), err
	}
}

func answer(kind string, data []byte) (interface{}, error) {
	switch kind {
	case "string":
		return string(data), nil
	case "handle":
		var value Handle
		return &value, json.Unmarshal(data, &value)
	case "envelope":
		var value Envelope
		return &value, json.Unmarshal(data, &value)
	case "token":
		var value Token
		return &value, json.Unmarshal(data, &value)
	}
	return fill(kind, data)
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<24)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		fields := strings.SplitN(in.Text(), " ", 2)
		data, err := hex.DecodeString(fields[1])
		var encoded []byte
		if err == nil {
			var value interface{}
			if value, err = answer(fields[0], data); err == nil {
				encoded, err = json.Marshal(value)
			}
		}
		if err != nil {
			fmt.Fprintf(out, "error %v\n", err)
			continue
		}
		fmt.Fprintln(out, hex.EncodeToString(encoded))
	}
}
