// Compression as a stream: what comes out is what went in, at once where somebody waits for it.
#include "worker/http/gzip_body.h"

#include <gtest/gtest.h>

#include <random>

namespace beamgate::http {
namespace {

using Then = GzipStream::Then;

// What so much of a gzip file stands for; ended: its end was there.
std::string unzip(const std::string& bytes, bool* ended = nullptr) {
  z_stream stream{};
  EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
  std::string out;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  int code = Z_OK;
  char piece[4096];
  do {
    stream.next_out = reinterpret_cast<Bytef*>(piece);
    stream.avail_out = sizeof piece;
    code = inflate(&stream, Z_NO_FLUSH);
    out.append(piece, sizeof piece - stream.avail_out);
  } while (code == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0));
  if (ended != nullptr) *ended = code == Z_STREAM_END && stream.avail_in == 0;
  inflateEnd(&stream);
  return out;
}

std::string noise(size_t bytes, unsigned letters) {
  std::minstd_rand random(1);
  std::string out(bytes, '\0');
  for (char& c : out) c = static_cast<char>(random() % letters);
  return out;
}

TEST(GzipStream, WhatGoesInComesOut) {
  GzipStreams streams;
  for (const size_t size : {0, 1, 100, 16'384, 100'000, 3'000'000}) {
    for (const unsigned letters : {2u, 256u}) {
      for (const int level : {1, 6, 9}) {
        const std::string text = noise(size, letters);
        auto stream = streams.take(level);
        std::string out;
        size_t piece_most = 0;
        const GzipStream::Sink sink = [&](std::string_view piece) {
          piece_most = std::max(piece_most, piece.size());
          return out.append(piece), true;
        };
        for (size_t at = 0; at < size; at += 70'000) {
          ASSERT_TRUE(stream->run(std::string_view(text).substr(at, 70'000), at % 2 ? Then::More : Then::Flush, sink));
        }
        ASSERT_TRUE(stream->run({}, Then::Finish, sink));
        bool ended = false;
        EXPECT_EQ(unzip(out, &ended) == text, true) << size;
        EXPECT_TRUE(ended);
        EXPECT_LE(piece_most, GzipStream::kPieceBytes);
        streams.give_back(std::move(stream));
      }
    }
  }
  EXPECT_EQ(streams.idle(), 1u);
}

TEST(GzipStream, SoManyAreInUseAtMost) {
  GzipStreams streams;
  std::vector<std::unique_ptr<GzipStream>> used;
  while (auto stream = streams.take(1)) used.push_back(std::move(stream));
  EXPECT_EQ(used.size(), GzipStreams::kActiveMax);
  streams.give_back(std::move(used.back()));
  used.pop_back();
  used.push_back(streams.take(1));
  EXPECT_NE(used.back(), nullptr);
  EXPECT_EQ(streams.take(1), nullptr);
  for (auto& stream : used) streams.give_back(std::move(stream));
  EXPECT_EQ(streams.active(), 0u);
  EXPECT_EQ(streams.idle(), GzipStreams::kIdleMax);
}

TEST(GzipStream, AFlushHoldsNothingBack) {
  auto stream = GzipStream::make(1);
  std::string out;
  const GzipStream::Sink sink = [&](std::string_view piece) { return out.append(piece), true; };
  std::string text;
  for (int i = 0; i < 100; ++i) {
    const std::string event = "data: " + std::to_string(i) + "\n\n";
    text += event;
    ASSERT_TRUE(stream->run(event, Then::Flush, sink));
    EXPECT_EQ(unzip(out), text);
  }
  ASSERT_TRUE(stream->run("more", Then::More, sink));
  EXPECT_EQ(unzip(out), text);  // The control.
}

TEST(GzipStream, ASinkMayStopIt) {
  auto stream = GzipStream::make(1);
  int pieces = 0;
  EXPECT_FALSE(stream->run(noise(1 << 20, 256), Then::Finish, [&](std::string_view) { return ++pieces < 3; }));
  EXPECT_EQ(pieces, 3);
  stream->restart(1);
  std::string out;
  EXPECT_TRUE(stream->run("again", Then::Finish, [&](std::string_view piece) { return out.append(piece), true; }));
  EXPECT_EQ(unzip(out), "again");
}

struct BodyCase {
  BodyCase() {
    location.gzip.on = true;
    request.method = "GET";
    request.location = &location;
    request.fields = {{"Accept-Encoding", "gzip"}};
    head.fields = {{"Content-Type", "text/html"}};
  }
  config::Location location;
  Request request;
  ResponseHead head;
  metrics::Page page{};
  GzipStreams streams;
  GzipBody body;  // Gives its stream back: goes first.
  std::string out;
  GzipStream::Sink sink = [this](std::string_view piece) { return out.append(piece), true; };
};

TEST(GzipBody, KeepsToThePromisedLength) {
  BodyCase c;
  for (const size_t length : {99, 100, 101}) {
    c.head = {200, {{"Content-Type", "text/html"}}, 100};
    c.out.clear();
    c.body.begin(c.streams, c.page, c.request, c.head);
    ASSERT_TRUE(c.body.active());
    const std::string text(length, 'x');
    const bool sound = c.body.write(text, false, c.sink) && c.body.finish(c.sink);
    EXPECT_EQ(sound, length == 100) << length;
    if (sound) {
      EXPECT_EQ(unzip(c.out), text);
    }
    c.body.end();
    EXPECT_FALSE(c.body.active());
  }
  EXPECT_EQ(c.streams.idle(), 1u);
  EXPECT_EQ(c.page.get(metrics::Metric::GzipBytesIn), 199u);
}

TEST(GzipBody, AWholeBodyHasALength) {
  BodyCase c;
  c.head.content_length = 1'000;
  c.body.begin(c.streams, c.page, c.request, c.head);
  c.body.compress_whole(std::string(1'000, 'x'), c.head, c.out);
  EXPECT_FALSE(c.body.active());
  EXPECT_EQ(c.head.content_length, c.out.size());
  EXPECT_EQ(unzip(c.out), std::string(1'000, 'x'));
}

TEST(GzipBody, VaryIsSaidToAll) {
  BodyCase c;
  c.location.gzip.vary = true;
  c.request.fields = {};
  c.body.begin(c.streams, c.page, c.request, c.head);
  EXPECT_FALSE(c.body.active());
  EXPECT_EQ(c.head.fields.back().value, "Accept-Encoding");
  c.head.fields = {{"Content-Type", "image/png"}};
  c.body.begin(c.streams, c.page, c.request, c.head);
  EXPECT_EQ(c.head.fields.size(), 1u);
}

}  // namespace
}  // namespace beamgate::http
