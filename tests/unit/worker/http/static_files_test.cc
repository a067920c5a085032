// Static files over a real directory: types, validators, ranges, index and redirects; and that no path and no
// link leads out of the root.
#include "worker/http/static_files.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "common/base/clock.h"
#include "tests/unit/worker/http/layer_fixture.h"

namespace beamgate::http {
namespace {

namespace fs = std::filesystem;

class StaticFilesTest : public LayerTest {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "beamgate-static-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    base_ = name;
    for (const char* directory : {"root/sub", "root/empty", "outside"})
      fs::create_directories(base_ / directory);
    put("root/index.html", "<p>home");
    put("root/file.txt", "0123456789");
    put("root/a b.txt", "space");
    put("root/sub/index.htm", "sub");
    put("root/x.css", "css");
    put("root/none", "no extension");
    put("outside/secret", "secret");
    fs::create_symlink("file.txt", base_ / "root/inside-link");
    fs::create_symlink("../outside/secret", base_ / "root/outside-link");
    fs::create_symlink(base_ / "outside/secret", base_ / "root/absolute-link");
    fs::create_symlink("../outside", base_ / "root/outside-dir");
    fs::create_symlink("loop", base_ / "root/loop");
    ASSERT_EQ(mkfifo((base_ / "root/fifo").c_str(), 0600), 0);
    const std::string root = (base_ / "root").string();
    start(
        "types { text/html html htm; text/css css; } default_type application/octet-stream;"
        "server { listen 127.0.0.1:1; index index.html index.htm; root " +
        root + "; location / { root " + root + "; } location /alias/ { alias " + root +
        "/; } location /part { alias " + root +
        "/sub; }"
        " location /moved/ { alias " + root +
        "/; rewrite ^/moved/(.*)$ /$1 break; }"
        " location = /one { alias " +
        root + "/file.txt; } }");
    files_ = std::make_unique<StaticFiles>(*dispatcher_);
    dispatcher_->set_handler(config::Action::Static, *files_);
    open();
  }
  void TearDown() override {
    LayerTest::TearDown();
    fs::remove_all(base_);
  }

  void put(const std::string& name, const std::string& content) { std::ofstream(base_ / name) << content; }
  std::string get(std::string_view target, std::string_view fields = "", std::string_view method = "GET") {
    if (!alive()) open();
    return exchange(std::string(method) + " " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" +
                    std::string(fields) + "\r\n");
  }
  int status(std::string_view target, std::string_view fields = "") {
    return status_of_response(get(target, fields));
  }
  std::string body(std::string_view target, std::string_view fields = "") {
    return body_of(get(target, fields));
  }
  static std::string field(std::string_view response, std::string_view name) {
    const std::string key = "\r\n" + std::string(name) + ": ";
    const size_t at = response.find(key);
    if (at == response.npos) return {};
    const size_t from = at + key.size();
    return std::string(response.substr(from, response.find("\r\n", from) - from));
  }

  fs::path base_;
  std::unique_ptr<StaticFiles> files_;
};

TEST_F(StaticFilesTest, FilesAndTheirTypes) {
  const std::string answer = get("/file.txt");
  EXPECT_EQ(status_of_response(answer), 200);
  EXPECT_EQ(body_of(answer), "0123456789");
  EXPECT_EQ(field(answer, "Content-Length"), "10");
  EXPECT_EQ(field(answer, "Accept-Ranges"), "bytes");
  EXPECT_EQ(field(answer, "Content-Type"), "application/octet-stream");
  EXPECT_EQ(field(get("/x.css"), "Content-Type"), "text/css");
  EXPECT_EQ(field(get("/none"), "Content-Type"), "application/octet-stream");
  EXPECT_EQ(body("/a%20b.txt"), "space");
  EXPECT_EQ(body("/inside-link"), "0123456789");
  const std::string head = get("/file.txt", "", "HEAD");
  EXPECT_EQ(field(head, "Content-Length"), "10");
  EXPECT_EQ(body_of(head), "");
}

// The alias stands in place of a pattern that the path does not have any more, as in nginx.
TEST_F(StaticFilesTest, AnAliasCantServeWhatBreakHasRewritten) {
  EXPECT_EQ(status("/moved/file.txt"), 500);
  EXPECT_EQ(status("/moved/a"), 500) << "shorter than the pattern";
  EXPECT_EQ(status("/moved/moved/file.txt"), 500);
}

TEST_F(StaticFilesTest, OnlyGetAndHead) {
  const std::string answer = get("/file.txt", "Content-Length: 0\r\n", "POST");
  EXPECT_EQ(status_of_response(answer), 405);
  EXPECT_EQ(field(answer, "Allow"), "GET, HEAD");
  EXPECT_EQ(status_of_response(get("/file.txt", "", "DELETE")), 405);
}

TEST_F(StaticFilesTest, NothingLeadsOutOfTheRoot) {
  for (const char* target :
       {"/outside-link", "/absolute-link", "/outside-dir/secret", "/alias/outside-link", "/loop"}) {
    EXPECT_EQ(status(target), 403) << target;
  }
  for (const char* target : {"/sub/../../outside/secret", "/..%2foutside/secret", "/%2e%2e/outside/secret"}) {
    EXPECT_EQ(status(target), 400) << target;
  }
  for (const char* target :
       {"/alias../outside/secret", "/part../outside/secret", "/part../file.txt", "/partx", "/fifo",
        "/file.txt/", "/file.txt/x", "/missing", "/missing/", "/\\..\\outside"}) {
    EXPECT_EQ(status(target), 404) << target;
  }
}

TEST_F(StaticFilesTest, KernelsWithoutTheCheckFollowNoLinkAtAll) {
  const std::string root = (base_ / "root").string();
  EXPECT_TRUE(open_beneath_without_links(root, "file.txt").ok());
  EXPECT_TRUE(open_beneath_without_links(root, "sub/index.htm").ok());
  EXPECT_TRUE(open_beneath_without_links(root, "sub/").ok());
  EXPECT_TRUE(open_beneath_without_links(root, "").value().directory());
  for (const char* bad : {"inside-link", "outside-link", "outside-dir/secret", "..", "../outside/secret",
                          "sub/../..", "missing", "file.txt/x", "fifo"}) {
    EXPECT_FALSE(open_beneath_without_links(root, bad).ok()) << bad;
  }
}

TEST_F(StaticFilesTest, UnreadableFilesAreDenied) {
  fs::permissions(base_ / "root/none", fs::perms::none);
  if (geteuid() != 0) {
    EXPECT_EQ(status("/none"), 403);
  }
  EXPECT_EQ(status("/file.txt"), 200);
}

TEST_F(StaticFilesTest, DirectoriesHaveAnIndexOrNothing) {
  EXPECT_EQ(body("/"), "<p>home");
  EXPECT_EQ(field(get("/"), "Content-Type"), "text/html");
  EXPECT_EQ(body("/sub/"), "sub");
  EXPECT_EQ(status("/empty/"), 403);
  const std::string answer = get("/sub?x=1");
  EXPECT_EQ(status_of_response(answer), 301);
  EXPECT_EQ(field(answer, "Location"), "http://a/sub/?x=1");
  fs::create_directory(base_ / "root/new\nline");
  EXPECT_EQ(field(get("/new%0aline"), "Location"), "http://a/new%0Aline/");
}

TEST_F(StaticFilesTest, Aliases) {
  EXPECT_EQ(body("/alias/file.txt"), "0123456789");
  EXPECT_EQ(body("/alias/"), "<p>home");
  EXPECT_EQ(body("/one"), "0123456789");
  EXPECT_EQ(body("/part/index.htm"), "sub");
  EXPECT_EQ(status("/part"), 301);
}

TEST_F(StaticFilesTest, Preconditions) {
  const std::string first = get("/file.txt");
  const std::string etag = field(first, "ETag");
  const std::string modified = field(first, "Last-Modified");
  struct stat info {};
  ASSERT_EQ(stat((base_ / "root/file.txt").c_str(), &info), 0);
  EXPECT_EQ(modified, format_http_date(info.st_mtime));
  const std::string earlier = format_http_date(info.st_mtime - 1);
  const auto with = [&](const std::string& fields) { return status("/file.txt", fields); };
  EXPECT_EQ(with("If-None-Match: " + etag + "\r\n"), 304);
  EXPECT_EQ(with("If-None-Match: \"x\", W/" + etag + "\r\n"), 304);
  EXPECT_EQ(with("If-None-Match: *\r\n"), 304);
  EXPECT_EQ(with("If-None-Match: \"x\"\r\n"), 200);
  EXPECT_EQ(with("If-Modified-Since: " + modified + "\r\n"), 304);
  EXPECT_EQ(with("If-Modified-Since: " + earlier + "\r\n"), 200);
  EXPECT_EQ(with("If-Modified-Since: nonsense\r\n"), 200);
  EXPECT_EQ(with("If-None-Match: \"x\"\r\nIf-Modified-Since: " + modified + "\r\n"), 200)
      << "the tag decides";
  EXPECT_EQ(with("If-Match: " + etag + "\r\n"), 200);
  EXPECT_EQ(with("If-Match: W/" + etag + "\r\n"), 412) << "only strong tags";
  EXPECT_EQ(with("If-Match: \"x\"\r\n"), 412);
  EXPECT_EQ(with("If-Unmodified-Since: " + modified + "\r\n"), 200);
  EXPECT_EQ(with("If-Unmodified-Since: " + earlier + "\r\n"), 412);
  const std::string answer = get("/file.txt", "If-None-Match: " + etag + "\r\n");
  EXPECT_EQ(field(answer, "ETag"), etag);
  EXPECT_EQ(body_of(answer), "");
}

TEST_F(StaticFilesTest, Ranges) {
  const std::string part = get("/file.txt", "Range: bytes=2-4\r\n");
  EXPECT_EQ(status_of_response(part), 206);
  EXPECT_EQ(body_of(part), "234");
  EXPECT_EQ(field(part, "Content-Range"), "bytes 2-4/10");
  EXPECT_EQ(field(part, "Content-Length"), "3");
  const std::string beyond = get("/file.txt", "Range: bytes=10-\r\n");
  EXPECT_EQ(status_of_response(beyond), 416);
  EXPECT_EQ(field(beyond, "Content-Range"), "bytes */10");
  EXPECT_EQ(body("/file.txt", "Range: lines=1-2\r\n"), "0123456789");
  const std::string etag = field(part, "ETag");
  EXPECT_EQ(body("/file.txt", "Range: bytes=0-0\r\nIf-Range: " + etag + "\r\n"), "0");
  EXPECT_EQ(body("/file.txt", "Range: bytes=0-0\r\nIf-Range: W/" + etag + "\r\n"), "0123456789");
  EXPECT_EQ(body("/file.txt", "Range: bytes=0-0\r\nIf-Range: " + field(part, "Last-Modified") + "\r\n"), "0");
  EXPECT_EQ(body("/file.txt", "Range: bytes=0-0\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
            "0123456789");
}

TEST_F(StaticFilesTest, SeveralRangesAreOneMultipartBody) {
  const std::string answer = get("/file.txt", "Range: bytes=0-1,-2\r\n");
  EXPECT_EQ(status_of_response(answer), 206);
  const std::string type = field(answer, "Content-Type");
  const std::string boundary = type.substr(type.find('=') + 1);
  EXPECT_EQ(body_of(answer),
            "\r\n--" + boundary +
                "\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 0-1/10\r\n\r\n01"
                "\r\n--" +
                boundary +
                "\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes 8-9/10\r\n\r\n89"
                "\r\n--" +
                boundary + "--\r\n");
  EXPECT_EQ(field(answer, "Content-Length"), std::to_string(body_of(answer).size()));
  EXPECT_TRUE(alive());
}

TEST_F(StaticFilesTest, LargeFilesArriveWholeAndTheConnectionGoesOn) {
  std::string big;
  for (int i = 0; big.size() < 5'000'000; ++i) big += std::to_string(i) + " ";
  put("root/big", big);
  EXPECT_EQ(body("/big"), big);
  EXPECT_TRUE(alive());
  EXPECT_EQ(body("/big", "Range: bytes=1000000-3999999\r\n"), big.substr(1'000'000, 3'000'000));
  const std::string parts = body("/big", "Range: bytes=0-1999999,2000000-3999999\r\n");
  EXPECT_NE(parts.find(big.substr(0, 2'000'000)), parts.npos);
  EXPECT_NE(parts.find(big.substr(2'000'000, 2'000'000)), parts.npos);
  EXPECT_EQ(body("/file.txt"), "0123456789");
  EXPECT_EQ(layer_->in_flight(), 0u);
}

TEST_F(StaticFilesTest, AFileThatShrinksCutsTheConnection) {
  put("root/big", std::string(3'000'000, 'x'));
  send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
  turn();
  fs::resize_file(base_ / "root/big", 1'000);
  EXPECT_LT(body_of(receive()).size(), 3'000'000u);
  EXPECT_FALSE(alive());
  EXPECT_EQ(layer_->in_flight(), 0u);
}

}  // namespace
}  // namespace beamgate::http
