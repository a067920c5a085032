// Exchange: one HTTP request and its response, as handlers see it.
//
// Owner      The HTTP session of its connection; it dies when the response is complete, or when the client or
//            the connection goes.  A handler that answers later keeps an ExchangeId and looks it up.
// Thread     Worker loop thread only.
// Limits     The response is written into the connection's outbound queue; write() says when to wait.
// Errors     A handler always ends an exchange: respond(), finish(), upgrade() or abort().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/config/model.h"
#include "common/metrics/metrics.h"
#include "worker/http/trace.h"
#include "worker/record/extras.h"
#include "worker/record/record.h"

namespace beamgate::tls {
class Negotiated;  // common/tls/negotiated.h
}

namespace beamgate::http {

struct Field {
  std::string_view name;   // As received.
  std::string_view value;  // Without surrounding white space.
};

// Views borrow from the session's head buffer and are good as long as the exchange.
struct Request {
  std::string_view method;
  std::string_view target;  // request_uri: as received.
  std::string path;         // uri: percent-decoded, dot segments and double slashes merged.
  std::string query;        // args: without "?", as received.
  bool rewritten = false;   // path and query are not what target says.
  bool in_place = false;    // Rewritten with "break": path is not the one by which location was found.
  int searches = 0;         // Of a location, and redirections within the server.
  bool internal = false;    // error_page, try_files or rewrite has brought it where it is.
  bool error_page = false;  // What answers is the page of an error,
  bool last_page = false;   // whose errors have no page: recursive_error_pages is off where it was one.
  int version_minor = 1;    // HTTP/1.x; 1 for HTTP/2, which means the same.
  bool http2 = false;
  std::string_view refused_line;  // Of a head that can't be read: its first line, as far as it has come.
  std::vector<Field> fields;
  std::string host;  // Lower case, without port.
  std::optional<uint64_t> content_length;
  bool chunked = false;     // There is a body, and only its end tells how long it is.
  bool keep_alive = true;
  bool expect_continue = false;
  bool upgrade_websocket = false;  // Connection: upgrade and Upgrade: websocket.

  std::string remote_address;  // Text; the real client's where set_real_ip_from trusts the peer.
  uint16_t remote_port = 0;    // 0: not known.
  bool trusted_peer = false;   // The peer is in set_real_ip_from: its X-Forwarded-* are believed.
  record::Announcement announced;    // By a PROXY header; `present` says whether there was one.
  mutable std::string request_id;    // Once it has been asked for: 32 hex digits, of this request alone.
  const char* limit_req_status = "";   // PASSED, DELAYED, REJECTED, and the last two with _DRY_RUN.
  const char* limit_conn_status = "";  // PASSED, REJECTED, REJECTED_DRY_RUN.

  const tls::Negotiated* tls = nullptr;  // The connection's; null: it is plain.

  // What matched; alive as long as `config`.
  std::shared_ptr<const config::Config> config;
  const config::Server* server = nullptr;
  const config::Location* location = nullptr;
  std::vector<std::pair<std::string, std::string>>
      captures;  // "1", "2", ... and names, of regular expressions; what "set" has set.  The last counts.
  Trace trace;

  bool has_body() const { return chunked || content_length.value_or(0) > 0; }
  // The first field of that name (case-insensitive); empty when there is none.
  std::string_view field(std::string_view name) const;
  bool has_field(std::string_view name) const;
  // Value of an argument in the query, percent-decoded; empty when there is none.
  std::string argument(std::string_view name) const;
};

// Value of a name in "name=value&..." (application/x-www-form-urlencoded), decoded; empty when there is none.
std::string form_value(std::string_view form, std::string_view name);

struct ResponseHead {
  uint16_t status = 200;
  std::vector<ResponseField> fields;  // Without Content-Length, Transfer-Encoding, Connection, Date, Server.
  std::optional<uint64_t> content_length;  // Unknown: chunked, or until close for HTTP/1.0.
};

// What a layer has to know that answers a request of HTTP/1.x instead of its exchange.
struct Postponed {
  bool keep_alive = false;  // The next request may follow.
  std::string fields;       // Of the answer, as they are written; what the handler, the location and Server say.
};

// Names an exchange while it lives.
struct ExchangeId {
  record::ConnId connection;
  uint32_t number = 0;
};

// A handler's own state of one exchange.  Its destructor is the cancellation: it runs when the exchange ends,
// whoever ended it.
class Attachment {
 public:
  virtual ~Attachment() = default;
  // Request body, de-chunked.  Returns how much was taken; less than all pauses the body until
  // Exchange::resume_body().
  virtual size_t on_body(std::string_view bytes);  // Default: takes and forgets.
  virtual void on_body_end() {}
  // All that on_body() has taken, if it is still here: another handler may have to be given it.
  virtual std::optional<std::string_view> body_so_far() const { return std::nullopt; }
  virtual void on_writable() {}  // There is room again after write() said wait.
  // Whether it goes on although the client has closed its side and may have gone.
  virtual bool outlives_client() const { return true; }
};

class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const Request& request() const = 0;
  virtual Trace& trace() = 0;  // The request's, to note what is done about it.
  virtual ExchangeId id() const = 0;
  virtual record::Record& record() = 0;

  // Before the handler returns, if the body matters to it or if it answers later.
  virtual void attach(std::unique_ptr<Attachment> attachment) = 0;
  virtual void resume_body() = 0;
  virtual bool body_complete() const = 0;

  // A whole response.  HEAD, 204 and 304 send no body, framing is right all the same.
  virtual void respond(uint16_t status, std::string_view content_type, std::string_view body,
                       std::vector<ResponseField> fields = {}) = 0;
  // In the gateway's own words, unless error_page has others.
  virtual void respond_status(uint16_t status);
  // Whether error_page has something to say instead of an answer with this status.
  virtual bool has_error_page(uint16_t) { return false; }

  // A streamed response.  write() queues all of it; false: wait for on_writable() before the next.
  virtual void begin(ResponseHead head) = 0;
  [[nodiscard]] virtual bool write(std::string_view bytes) = 0;
  virtual void finish() = 0;
  // The same, with fields behind the body where the client's framing has a place for them.
  virtual void finish_with_trailers(const std::vector<ResponseField>& trailers);
  // An interim response (1xx but 100 and 101), before begin(); clients of HTTP/1.0 don't get it.
  virtual void inform(uint16_t status, const std::vector<ResponseField>& fields);
  // After begin(): these bytes of the file are the rest of the body; finishes by itself.
  virtual void finish_with_file(UniqueFd file, uint64_t offset, uint64_t count);
  // The response can't be completed: the connection is cut so that the client notices; before begin() it is a
  // 502.
  virtual void abort() = 0;
  virtual bool begun() const = 0;
  // Closes the connection without an answer; where an exchange can't do that, abort().
  virtual void drop() { abort(); }

  // 101 with these fields; from then on the attachment's on_body() gets the client's bytes as they are, and
  // on_body_end() its FIN; write() sends bytes as they are, and finish() closes behind them.  Where an exchange
  // can't do that, abort().  REQUIRES: an attachment.
  virtual void tunnel(const std::vector<ResponseField>& fields);

  // 101 with these fields; the connection leaves HTTP for `phase`, and bytes behind the head go there.
  virtual void upgrade(const std::vector<ResponseField>& fields, record::Phase phase) = 0;

  // The head of a response that only its end delimits; the connection, or with HTTP/2 the stream, as one, leaves HTTP
  // for `phase`, whose layer sends the body and closes behind it.  prepare() is given the record before that layer
  // is.  Null: something else has been answered, or the connection is gone.
  virtual record::Record* leave(ResponseHead head, record::Phase phase,
                                const std::function<void(record::Record&)>& prepare);

  // As leave(), but nothing is sent: the layer writes the whole answer, with these fields among others, and gives the
  // connection back to phase Http, or closes it.  Null also where that can't be, as with HTTP/2; then nothing has
  // been done.
  using Prepare = std::function<void(record::Record&, const Postponed&)>;
  virtual record::Record* postpone(std::vector<ResponseField> fields, record::Phase phase, const Prepare& prepare);
};

// What serves a location's action.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void handle(Exchange& exchange) = 0;
};

// Finds living exchanges and dispatches requests to handlers; implemented by Dispatcher (http/dispatcher.h).
class Exchanges {
 public:
  virtual ~Exchanges() = default;
  virtual Exchange* find(ExchangeId id) = 0;  // Null once it has ended.
  virtual void set_handler(config::Action action, Handler& handler) = 0;
};

// Collects a whole body within the location's limit, and within 64 MiB where it has none (413, counted), then calls
// done(exchange, body).  For handlers that need all of it: exchange.attach(collect_body(...)).
std::unique_ptr<Attachment> collect_body(Exchanges& exchanges, ExchangeId id, metrics::Page& metrics,
                                         std::function<void(Exchange&, std::string&& body)> done);

// Expands $variables of a request (config/template.h).
void expand(const config::Template& text, const Request& request, const record::Record& record,
            std::string& out);

}  // namespace beamgate::http
