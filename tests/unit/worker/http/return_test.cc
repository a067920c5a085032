// "return", add_header and the access rules, as a client sees them.
#include "tests/unit/worker/http/layer_fixture.h"

namespace beamgate::http {
namespace {

class ReturnTest : public LayerTest {
 protected:
  void serve(const std::string& locations) {
    start("server { listen 127.0.0.1:8000; " + locations + " }");
    open();
  }
  std::string get(const std::string& target, const std::string& fields = "") {
    if (!alive()) open();
    return exchange("GET " + target + " HTTP/1.1\r\nHost: Ex.org:81\r\n" + fields + "\r\n");
  }
};

TEST_F(ReturnTest, TextsCodesAndRedirects) {
  serve(R"(location /text { return 200 "hi $arg_name"; }
           location /code { return 404; }
           location /empty { return 204; }
           location /move { return 301 /new$is_args$args; }
           location /away { return 302 https://other.test$uri; }
           location /url { return https://other.test/; }
           location /drop { return 444; })");
  EXPECT_EQ(body_of(get("/text?name=tom")), "hi tom");
  EXPECT_EQ(status_of_response(get("/code")), 404);
  EXPECT_EQ(body_of(get("/code")), "404 Not Found\n");
  EXPECT_EQ(status_of_response(get("/empty")), 204);
  EXPECT_EQ(count(get("/move?a=b"), "HTTP/1.1 301 Moved Permanently\r\n"), 1u);
  EXPECT_EQ(count(get("/move?a=b"), "Location: http://Ex.org:81/new?a=b\r\n"), 1u);
  EXPECT_EQ(count(get("/away"), "Location: https://other.test/away\r\n"), 1u);
  EXPECT_EQ(status_of_response(get("/url")), 302);
  EXPECT_EQ(get("/drop"), "");
  EXPECT_TRUE(closed());
}

TEST_F(ReturnTest, ADecodedPathCanNotSplitTheResponse) {
  serve("location / { return 302 https://x.test$uri; }");
  const std::string answer = get("/%0d%0aSet-Cookie:%20a=b");
  EXPECT_EQ(count(answer, "\r\nSet-Cookie"), 0u);
  EXPECT_EQ(status_of_response(answer), 302);
}

TEST_F(ReturnTest, FieldsAreAddedWhereNginxAddsThem) {
  serve(R"(add_header X-Uri $uri; add_header X-None $arg_none;
           location /ok { return 200 hi; } location /gone { return 410; })");
  const std::string answer = get("/ok");
  EXPECT_EQ(count(answer, "X-Uri: /ok\r\n"), 1u);
  EXPECT_EQ(count(answer, "X-None"), 0u);
  EXPECT_EQ(count(get("/gone"), "X-Uri"), 0u);
}

TEST_F(ReturnTest, AServersReturnComesBeforeItsLocations) {
  serve("return 301 https://$host$request_uri; location / { return 200; }");
  EXPECT_EQ(count(get("/a%20b?c"), "Location: https://ex.org/a%20b?c\r\n"), 1u);
}

TEST_F(ReturnTest, ServerTokens) {
  serve("server_tokens off; location / { return 200; }");
  EXPECT_EQ(count(get("/"), "Server: BeamGate\r\n"), 1u);
  serve("location / { return 200; }");
  EXPECT_EQ(count(get("/"), "Server: BeamGate/"), 1u);
}

// What rules are about: "return" comes before them, as in nginx.
class Greeter final : public Handler {
 public:
  void handle(Exchange& exchange) override { exchange.respond(200, "text/plain", exchange.request().remote_address); }
};

TEST_F(ReturnTest, DeniedClientsGetA403AndTheConnectionStays) {
  Greeter greeter;
  serve("location /closed { deny all; status; } location /open { allow all; status; } location /r { deny all; return 200; }");
  dispatcher_->set_handler(config::Action::Status, greeter);
  EXPECT_EQ(status_of_response(get("/r")), 200);
  EXPECT_EQ(status_of_response(get("/closed")), 403);
  EXPECT_TRUE(alive());
  EXPECT_EQ(status_of_response(get("/open")), 200);
}

TEST_F(ReturnTest, TheRealClientIsTheOneThatRulesSpeakOf) {
  Greeter greeter;
  start(
      "set_real_ip_from unix:; real_ip_header X-Forwarded-For; server { listen 127.0.0.1:8000;"
      " location / { allow 1.2.3.4; deny all; status; } }");
  dispatcher_->set_handler(config::Action::Status, greeter);
  open();
  EXPECT_EQ(body_of(get("/", "X-Forwarded-For: 9.9.9.9, 1.2.3.4\r\n")), "1.2.3.4");
  EXPECT_EQ(body_of(get("/", "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 1.2.3.4\r\n")), "1.2.3.4");
  EXPECT_EQ(status_of_response(get("/", "X-Forwarded-For: 1.2.3.4, 9.9.9.9\r\n")), 403);
  // Without a trusted peer the field is only a claim.
  start(
      "real_ip_header X-Forwarded-For; server { listen 127.0.0.1:8000;"
      " location / { allow 1.2.3.4; deny all; status; } }");
  dispatcher_->set_handler(config::Action::Status, greeter);
  open();
  EXPECT_EQ(status_of_response(get("/", "X-Forwarded-For: 1.2.3.4\r\n")), 403);
}

TEST_F(ReturnTest, MediaTypes) {
  serve("types { text/css css; } default_type text/plain; location / { return 200 x; }");
  EXPECT_EQ(count(get("/a.css"), "Content-Type: text/css\r\n"), 1u);
  EXPECT_EQ(count(get("/a"), "Content-Type: text/plain\r\n"), 1u);
  EXPECT_EQ(count(get("/a.b/c"), "Content-Type: text/plain\r\n"), 1u);
}

}  // namespace
}  // namespace beamgate::http
