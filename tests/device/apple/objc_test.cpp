#include "objc.h"

#include "support/catch.h"

using namespace ane::device::apple;

TEST_CASE("type encodings describe how values are passed", "[apple]") {
  CHECK(objc::passed_as("B36@0:8I16@20^@28") == "1pp4pp");       // Apple's, with offsets
  CHECK(objc::passed_as("C@:I@^@") == "1pp4pp");                 // bare
  CHECK(objc::passed_as("@24@0:8^{__IOSurface=}16") == "pppp");  // a struct behind a pointer
  CHECK(objc::passed_as("@32@0:8r^@16Q24") == "pppp8");
  CHECK(objc::passed_as("@32@0:8^rv16Q24") == "pppp8");  // GNU's, with the qualifier behind the pointer
  CHECK(objc::passed_as("v16@0:8") == "vpp");
  CHECK(objc::passed_as("Vv24@0:8@\"NSString\"16") == "vppp");  // qualifier, and a named class
  CHECK(objc::passed_as("v24@0:8@?16") == "vppp");              // a block
  CHECK(objc::passed_as("d16@0:8") == "?pp");
  CHECK(objc::passed_as("") == "");
}

TEST_CASE("a message knows how its values are passed", "[apple]") {
  using Compile = objc::Message<objc::Flag, unsigned, objc::Id, objc::Id*>;
  CHECK(Compile::passing() == "1pp4pp");
  CHECK(objc::Message<void>::passing() == "vpp");
  CHECK(objc::Message<unsigned long, const char*>::passing() == "8ppp");
  CHECK(objc::describe_passing("1p4v?") == "1 byte, pointer, 4 bytes, nothing, unknown");
}

TEST_CASE("a missing library is reported", "[apple]") {
  const objc::Library library("/nowhere/libnothing.so");
  CHECK_FALSE(library);
  CHECK_THAT(library.error(), ANE_CONTAINS("/nowhere/libnothing.so"));
  CHECK(library.find("anything") == nullptr);
  CHECK_FALSE(objc::Runtime({}));
}
