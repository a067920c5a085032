// A chat room behind BeamGate, with nothing but Go's standard library.
//
// BeamGate holds the WebSockets; this program only answers HTTP requests and keeps no state:
//
//	beamgate.connect        May this connection open?  We name its user and put it into a room.
//	beamgate.message        A line was typed.  We answer the sender, or publish to the room.
//	beamgate.connected,     News, in batches.  Nobody waits for our answer, so what we have to say about
//	beamgate.disconnected   them goes the other way, through BeamGate's HTTP API.
//
// Run it with:  go run .     and beside it:  beamgate -p . -c beamgate.conf
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	tolerance = 300 * time.Second
	bodyMax   = 1 << 20
)

// The secrets, the API and its key are the same as in beamgate.conf; two secrets, separated by a space,
// while one replaces the other.
var (
	secrets = strings.Fields(setting("BEAMGATE_SECRETS", "whsec_ZXhhbXBsZSBzZWNyZXQsIGNoYW5nZSBpdCBpbiBib3RoIQ=="))
	api     = setting("BEAMGATE_API", "http://127.0.0.1:8080/api")
	apiKey  = setting("BEAMGATE_API_KEY", "example-key-change-it-in-both")
	page    = setting("CHAT_PAGE", "../chat.html")
	port    = setting("PORT", "9000")
	valid   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)
	client  = &http.Client{Timeout: 5 * time.Second}
)

func setting(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

type publication struct {
	Channel string `json:"channel"`
	Data    string `json:"data"`
}

// What BeamGate shall do; goes back as application/vnd.beamgate+json.
type actions struct {
	User      string        `json:"user,omitempty"`
	State     string        `json:"state,omitempty"`
	Subscribe []string      `json:"subscribe,omitempty"`
	Send      []string      `json:"send,omitempty"`
	Publish   []publication `json:"publish,omitempty"`
}

type event struct {
	Type  string `json:"type"`
	User  string `json:"beamgateuser"`
	State string `json:"beamgatestate"`
}

// Standard Webhooks: an HMAC over id, time and body; compared in constant time.
func isGenuine(header http.Header, body []byte) bool {
	stamp := header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return false
	}
	if age := time.Since(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return false
	}
	for _, secret := range secrets {
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
		if err != nil {
			continue
		}
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.", header.Get("webhook-id"), stamp)
		mac.Write(body)
		expected := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
		for _, offered := range strings.Fields(header.Get("webhook-signature")) {
			if hmac.Equal(expected, []byte(offered)) {
				return true
			}
		}
	}
	return false
}

// Puts the answer's result into `result`, where that is not nil.
func callAPI(method, body, contentType string, result any) error {
	request, err := http.NewRequest("POST", api+"/"+method, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("X-API-Key", apiKey)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", method, response.Status)
	}
	var answer struct {
		Result json.RawMessage
		Error  *struct{ Message string }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %s", method, answer.Error.Message)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result, result)
}

func publish(room, line string) error {
	return callAPI("publish?channel="+room, line, "text/plain", nil)
}

func count(room string) (int, error) {
	var found struct {
		Channels map[string]struct {
			Clients int `json:"num_clients"`
		} `json:"channels"`
	}
	pattern, err := json.Marshal(map[string]string{"pattern": room})
	if err != nil {
		return 0, err
	}
	err = callAPI("channels", string(pattern), "application/json", &found)
	return found.Channels[room].Clients, err
}

func text(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func act(w http.ResponseWriter, document actions) {
	w.Header().Set("Content-Type", "application/vnd.beamgate+json")
	json.NewEncoder(w).Encode(document)
}

// Who is this?  Any 4xx refuses the connection.
func onConnect(w http.ResponseWriter, uri string) {
	target, err := url.Parse(uri)
	if err != nil {
		text(w, http.StatusBadRequest, "not a URI\n")
		return
	}
	name, room := target.Query().Get("name"), target.Query().Get("room")
	if room == "" {
		room = "lobby"
	}
	if !valid.MatchString(name) || !valid.MatchString(room) {
		text(w, http.StatusForbidden, "a name and a room have 1 to 32 letters, digits, - or _\n")
		return
	}
	welcome := fmt.Sprintf("* welcome to %s, %s", room, name)
	act(w, actions{User: name, State: room, Subscribe: []string{room}, Send: []string{welcome}})
}

func onMessage(w http.ResponseWriter, user, room, line string) {
	switch {
	case line == "/who":
		clients, err := count(room)
		if err != nil {
			fail(w, err)
			return
		}
		text(w, http.StatusOK, fmt.Sprintf("* you are %s, one of %d in %s", user, clients, room))
	case strings.HasPrefix(line, "/me "):
		act(w, actions{Publish: []publication{{room, "* " + user + " " + line[4:]}}})
	case strings.HasPrefix(line, "/"):
		text(w, http.StatusOK, "* there is /me and /who")
	default:
		act(w, actions{Publish: []publication{{room, user + ": " + line}}})
	}
}

func onEvents(w http.ResponseWriter, body []byte) {
	var events []event
	if err := json.Unmarshal(body, &events); err != nil {
		text(w, http.StatusBadRequest, "not a batch\n")
		return
	}
	verbs := map[string]string{"beamgate.connected": "joined", "beamgate.disconnected": "left"}
	for _, each := range events {
		verb := verbs[each.Type]
		if verb == "" || each.State == "" {
			continue
		}
		if err := publish(each.State, "* "+each.User+" "+verb); err != nil {
			fail(w, err)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func fail(w http.ResponseWriter, err error) {
	log.Print(err)
	text(w, http.StatusInternalServerError, "the application failed\n")
}

func onWebhook(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMax))
	if err != nil || r.Method != "POST" || !isGenuine(r.Header, body) {
		text(w, http.StatusForbidden, "not from BeamGate\n")
		return
	}
	switch {
	case strings.HasPrefix(r.Header.Get("content-type"), "application/cloudevents-batch+json"):
		onEvents(w, body)
	case r.Header.Get("ce-type") == "beamgate.connect":
		onConnect(w, r.Header.Get("beamgate-uri"))
	case r.Header.Get("ce-type") == "beamgate.message":
		onMessage(w, r.Header.Get("beamgate-user"), r.Header.Get("beamgate-state"), string(body))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func main() {
	http.HandleFunc("/beamgate", onWebhook)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		http.ServeFile(w, r, page)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("chat application on http://%s", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
