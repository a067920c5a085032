// Which file or script a request names.
#include "worker/http/document.h"

#include <gtest/gtest.h>

#include "common/config/regex.h"

namespace beamgate::http {
namespace {

TEST(Document, RootAndAlias) {
  config::Location location;
  location.pattern = "/files/";
  location.file.root = "/srv/../srv";
  std::string out;
  append_document_root(location, "/files/a", out);
  append_request_filename(location, "/files/a", out);
  EXPECT_EQ(out, "/srv/../srv/srv/../srv/files/a");
  out.clear();
  append_real_root(location, "/files/a", out);
  EXPECT_EQ(out, "/srv");
  location.file.alias = "/nowhere/at/all/";
  out.clear();
  append_request_filename(location, "/files/a", out);
  append_real_root(location, "/files/a", out);
  EXPECT_EQ(out, "/nowhere/at/all/a");
}

TEST(Document, ScriptNamesAreSplitAndGetAnIndex) {
  config::FastcgiAction fastcgi;
  fastcgi.index = "index.php";
  EXPECT_EQ(split_script(fastcgi, "/a.php/b").name, "/a.php/b");
  EXPECT_EQ(split_script(fastcgi, "/a/").name, "/a/index.php");
  config::Regex::CompileError error;
  fastcgi.split = config::Regex::compile("^(.+\\.php)(/.*)$", false, error);
  const ScriptName split = split_script(fastcgi, "/a.php/b/");
  EXPECT_EQ(split.name, "/a.php");
  EXPECT_EQ(split.path_info, "/b/");
  EXPECT_EQ(split_script(fastcgi, "/a.php").name, "/a.php");
  EXPECT_EQ(split_script(fastcgi, "/a.php").path_info, "");
}

}  // namespace
}  // namespace beamgate::http
