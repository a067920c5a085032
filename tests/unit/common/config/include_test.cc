// Shows that files are read where nginx would look for them, in a bounded way, and that messages name the
// file that is wrong and not the one that included it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "common/config/load.h"
#include "common/config/statement.h"

namespace beamgate::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Include : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/beamgate-config-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text) {
    const std::string path = directory_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  LoadResult load_file(const std::string& path, const std::string& directives = "") {
    LoadOptions options;
    options.path = path;
    options.prefix = directory_;
    options.global_directives = directives;
    return load(options);
  }

  static std::vector<std::string> texts(const std::vector<Diagnostic>& diagnostics) {
    std::vector<std::string> out;
    for (const Diagnostic& diagnostic : diagnostics) out.push_back(diagnostic.text());
    return out;
  }

  std::string directory_;
};

TEST_F(Include, PathsStartAtTheMainFilesDirectory) {
  write("conf/main.conf", "include sub/a.conf; http { include sub/*.http; }");
  write("conf/sub/a.conf", "worker_processes 7; include sub/b.conf;");
  write("conf/sub/b.conf", "pid p;");
  write("conf/sub/1.http", "server { listen 1; }");
  write("conf/sub/2.http", "server { listen 2; }");
  const LoadResult result = load_file("conf/main.conf");
  ASSERT_TRUE(result.ok()) << report(result);
  EXPECT_EQ(result.config->worker_processes, 7u);
  EXPECT_EQ(result.config->pid_path, directory_ + "/p");  // Other paths start at the prefix.
  ASSERT_EQ(result.config->http.servers.size(), 2u);
  EXPECT_EQ(result.config->http.servers[1].listens[0].address.text, "0.0.0.0:2");
  std::vector<std::string> paths;
  for (const Source& source : result.sources) paths.push_back(source.path.substr(directory_.size()));
  EXPECT_THAT(paths, ElementsAre("/conf/main.conf", "/conf/sub/a.conf", "/conf/sub/b.conf",
                                 "/conf/sub/1.http", "/conf/sub/2.http"));
}

TEST_F(Include, APatternMayMatchNothingButAFileMustExist) {
  EXPECT_TRUE(load_file(write("a.conf", "include none/*.conf;")).ok());
  const std::string path = write("b.conf", "\n  include missing.conf;");
  EXPECT_THAT(texts(load_file(path).errors),
              ElementsAre(path + ":2:11: open() \"" + directory_ +
                          "/missing.conf\" failed (2: No such file or directory)"));
  EXPECT_THAT(texts(load_file(write("c.conf", "include .;")).errors),
              ElementsAre(HasSubstr("Is a directory")));
}

TEST_F(Include, ErrorsNameTheFileTheyAreIn) {
  const std::string inner = write("inner.conf", "listen 1;\nlisen 2;\n");
  write("main.conf", "http { server {\ninclude inner.conf;\n} }");
  EXPECT_THAT(texts(load_file("main.conf").errors),
              ElementsAre(inner + ":2:1: unknown directive \"lisen\", did you mean \"listen\"?"));
  const std::string open = write("open.conf", "server {\n");
  write("main.conf", "http { include open.conf; }");
  EXPECT_THAT(
      texts(load_file("main.conf").errors),
      ElementsAre(open + ":2:1: unexpected end of file, expecting \"}\" for \"server\" at " + open + ":1"));
}

TEST_F(Include, CyclesAndSizesAreBounded) {
  const std::string self = write("self.conf", "include self.conf;");
  EXPECT_THAT(texts(load_file(self).errors), ElementsAre(self + ":1:1: files include each other too deeply"));
  const std::string twice = write("twice.conf", "include twice.conf; include twice.conf;");
  EXPECT_FALSE(load_file(twice).ok());  // Ends, and soon: 2^16 files are not read.
  const std::string big = write("big.conf", std::string(StatementLimits::kFileBytesMax + 1, ' '));
  EXPECT_THAT(texts(load_file(big).errors), ElementsAre(HasSubstr("File too large")));
}

TEST_F(Include, MimeTypesCanBeIncluded) {
  write("mime.types", std::string(built_in_types()));
  const LoadResult result = load_file(write("a.conf", "http { include mime.types; server { listen 1; } }"));
  ASSERT_TRUE(result.ok()) << report(result);
  EXPECT_EQ(result.config->http.servers[0].fallback.types.at("html"), "text/html");
}

TEST_F(Include, WhatIsUsuallyIncludedIsBuiltIn) {
  const std::string text = "http { include mime.types; server { listen 1; location / { include fastcgi_params; } "
                           "location /a { include fastcgi.conf; } } }";
  LoadResult result = load_file(write("a.conf", text));
  ASSERT_TRUE(result.ok()) << report(result);
  const std::vector<Location>& locations = result.config->http.servers[0].locations;
  EXPECT_EQ(locations[0].fastcgi.params.size() + 1, locations[1].fastcgi.params.size());
  write("fastcgi_params", "fastcgi_param MINE 1;");
  result = load_file(write("a.conf", text));
  ASSERT_TRUE(result.ok()) << report(result);
  EXPECT_EQ(result.config->http.servers[0].locations[0].fastcgi.params.at(0).name, "MINE");
  EXPECT_FALSE(load_file(write("a.conf", "include other.conf;")).ok());
}

TEST_F(Include, GlobalDirectivesStandBesideTheFile) {
  const std::string path = write("a.conf", "pid p;");
  LoadResult result = load_file(path, "daemon off; worker_processes 2");
  ASSERT_TRUE(result.ok()) << report(result);
  EXPECT_FALSE(result.config->daemon);
  EXPECT_EQ(result.config->worker_processes, 2u);
  result = load_file(path, "pid /q; error_log /log");
  ASSERT_TRUE(result.ok()) << report(result);
  EXPECT_EQ(result.config->pid_path, "/q") << "they count instead of what the file says";
  EXPECT_EQ(result.config->error_log_path, "/log");
  EXPECT_TRUE(load_text(result.config->dump).ok()) << "a worker reads what is left";
  result = load_file(path, "pid q; pid r;");
  EXPECT_THAT(texts(result.errors),
              ElementsAre("command line:1:8: \"pid\" directive is duplicate, first at command line:1"));
  result = load_file(path, "http { } http { }");
  EXPECT_THAT(texts(result.errors), testing::SizeIs(1)) << "blocks don't replace each other";
  result = load_file(path, "deamon off;");
  EXPECT_THAT(texts(result.errors),
              ElementsAre("command line:1:1: unknown directive \"deamon\", did you mean \"daemon\"?"));
}

TEST_F(Include, TheBuiltInTextIsForThoseWhoNameNothing) {
  if (access("/etc/beamgate/beamgate.conf", F_OK) != 0) {
    const LoadResult built_in = load({});
    ASSERT_TRUE(built_in.ok()) << report(built_in);
    EXPECT_EQ(built_in.sources[0].path, kBuiltInName);
  }
  EXPECT_THAT(texts(load_file("").errors), ElementsAre("command line: \"" + directory_ +
                                                       "\", which -p names, has no beamgate.conf; -c names another file"));
  const std::string path = write("beamgate.conf", "worker_processes 9;");
  const LoadResult own = load_file("");
  ASSERT_TRUE(own.ok());
  EXPECT_EQ(own.config->worker_processes, 9u);
  EXPECT_EQ(own.sources[0].path, path);
  LoadOptions options;
  options.prefix = directory_;
  EXPECT_EQ(configuration_path(options), path);
  for (const auto& [prefix, lack] : {std::pair{directory_ + "/none", "can't be used: No such file or directory"},
                                     std::pair{path, "is no directory"}}) {
    options.prefix = prefix;
    for (const char* file : {"", path.c_str()}) {
      options.path = file;
      EXPECT_THAT(texts(load(options).errors), ElementsAre("command line: \"" + prefix + "\", which -p names, " + lack));
    }
  }
  // A file that was asked for must be there.
  EXPECT_THAT(texts(load_file("other.conf").errors),
              ElementsAre("configuration: open() \"" + directory_ +
                          "/other.conf\" failed (2: No such file or directory)"));
}

}  // namespace
}  // namespace beamgate::config
