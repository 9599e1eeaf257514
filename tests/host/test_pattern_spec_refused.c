// SPDX-License-Identifier: MIT
//
// Specs that are refused, and with which words.

#include <stdio.h>
#include <string.h>

#include "message.h"
#include "spec_shelf.h"

#define SYNTAX TULLE_ERROR_SYNTAX
#define INVALID TULLE_ERROR_INVALID_ARGUMENT
#define FROM_0 "it must be at least 0 and below 2147483648"
#define FROM_1 "it must be at least 1 and below 2147483648"
#define TERMS "a term (dense, window, *)"

// '*' in a message: any characters.
static const struct {
    const char *spec;
    tulle_result result;
    const char *message;
} malformed[] = {
    { "", SYNTAX, "column 1: expected a term, as in window:L,R, found the end" },
    { "   ", SYNTAX, "column 4: expected a term, as in window:L,R, found the end" },
    { "+", SYNTAX, "column 1: expected a term, as in window:L,R, found '+'" },
    { ";", SYNTAX, "column 1: expected a term, as in window:L,R, found ';'" },
    { "dense+", SYNTAX, "column 7: expected a term, as in window:L,R, found the end" },
    { "dense;", SYNTAX, "column 7: expected a term, as in window:L,R, found the end" },
    { "+dense", SYNTAX, "column 1: expected a term, as in window:L,R, found '+'" },
    { "dense++dense", SYNTAX, "column 7: expected a term, as in window:L,R, found '+'" },
    { "dense ; ;dense", SYNTAX, "column 9: expected a term, as in window:L,R, found ';'" },
    { "dense+;dense", SYNTAX, "column 7: expected a term, as in window:L,R, found ';'" },
    { ":3", SYNTAX, "column 1: expected a term, as in window:L,R, found ':'" },
    { "\"dense\"", SYNTAX, "column 1: expected a term, as in window:L,R, found '\"'" },
    { "Dense", SYNTAX, "column 1: expected " TERMS ", found 'Dense'" },
    { "dens", SYNTAX, "column 1: expected " TERMS ", found 'dens'" },
    { "windows:1,2", SYNTAX, "column 1: expected " TERMS ", found 'windows'" },
    { "sink:1+ windw:1,2", SYNTAX, "column 9: expected " TERMS ", found 'windw'" },
    { "dense dense", SYNTAX, "column 1: expected " TERMS ", found 'dense dense'" },
    { "causal", SYNTAX, "column 1: expected " TERMS ", found 'causal'" },
    { "dense:", SYNTAX, "column 6: expected *'+'*';'*'|' or the end, as in dense, found ':'" },
    { "dense:1", SYNTAX, "column 6: expected *'+'*';'*'|' or the end, as in dense, found ':'" },
    { "dense,sink:1", SYNTAX,
      "column 6: expected *'+'*';'*'|' or the end, as in dense, found ','" },
    { "window", SYNTAX, "column 7: expected ':' and L, as in window:L,R, found the end" },
    { "window,1,2", SYNTAX, "column 7: expected ':' and L, as in window:L,R, found ','" },
    { "window:", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found the end" },
    { "window:3", SYNTAX, "column 9: expected ',' and R, as in window:L,R, found the end" },
    { "window:3,", SYNTAX,
      "column 10: expected R, a whole number or inf, as in window:L,R, found the end" },
    { "window:,3", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found ','" },
    { "window:3+sink:1", SYNTAX, "column 9: expected ',' and R, as in window:L,R, found '+'" },
    { "window:1,2,3", SYNTAX,
      "column 11: expected *'+'*';'*'|' or the end, as in window:L,R, found ','" },
    { "window:1:2", SYNTAX, "column 9: expected ',' and R, as in window:L,R, found ':'" },
    { "window:1.5,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '1.5'" },
    { "window:1e3,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '1e3'" },
    { "window:0x10,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '0x10'" },
    { "window:+1,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '+'" },
    { "window:-,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '-'" },
    { "window:--1,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '--1'" },
    { "window:1 2,3", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '1 2'" },
    { "window:1,two", SYNTAX,
      "column 10: expected R, a whole number or inf, as in window:L,R, found 'two'" },
    { "window:Inf,0", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found 'Inf'" },
    { "window:infinity,0", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found 'infinity'" },
    { "window:-inf,0", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '-inf'" },
    { "window:\"1\",2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '\"'" },
    { "window:1\"x\",2", SYNTAX, "column 9: expected ',' and R, as in window:L,R, found '\"'" },
    { "window:1,'2'", SYNTAX,
      "column 10: expected R, a whole number or inf, as in window:L,R, found \"'2'\"" },
    { "window:\x01,2", SYNTAX,
      "column 8: expected L, a whole number or inf, as in window:L,R, found '?'" },
    { "dilated:1,2", SYNTAX, "column 12: expected ',' and S, as in dilated:L,R,S, found the end" },
    { "dilated:1,2,inf", SYNTAX,
      "column 13: expected S, a whole number, as in dilated:L,R,S, found 'inf'" },
    { "strided:inf", SYNTAX, "column 9: expected S, a whole number, as in strided:S, found 'inf'" },
    { "sink:inf", SYNTAX, "column 6: expected S, a whole number, as in sink:S, found 'inf'" },
    { "fixed:3", SYNTAX, "column 8: expected ',' and C, as in fixed:S,C, found the end" },
    { "random:8,2", SYNTAX,
      "column 11: expected ',' and SEED, as in random:B,R,SEED, found the end" },
    { "random:8,2,x", SYNTAX,
      "column 12: expected SEED, a whole number, as in random:B,R,SEED, found 'x'" },
    { "global", SYNTAX,
      "column 7: expected ':' and G, as in global:G or global:FILE, found the end" },
    { "global:", SYNTAX,
      "column 8: expected G, a whole number or a FILE, as in global:G or global:FILE, found the end" },
    { "global:1.5", SYNTAX,
      "column 8: expected G, a whole number or a FILE, as in global:G or global:FILE, found '1.5'" },
    { "global:inf", SYNTAX,
      "column 8: expected G, a whole number or a FILE, as in global:G or global:FILE, found 'inf'" },
    { "global:1,2", SYNTAX,
      "column 9: expected *'+'*';'*'|' or the end, as in global:G or global:FILE, found ','" },
    { "global:\"\"", SYNTAX, "column 8: expected FILE, a name, found \"\"" },
    { "global:\"list.npy", SYNTAX,
      "column 8: the double quote that opens FILE here is never closed" },
    { "global:\"list.npy\"\"", SYNTAX,
      "column 8: the double quote that opens FILE here is never closed" },
    { "global:\"list.npy\"x", SYNTAX,
      "column 18: expected *'+'*';'*'|' or the end, as in global:G or global:FILE, found 'x'" },
    { "global:h\xc3\xa9.npy,1", SYNTAX,
      "column 14: expected *'+'*';'*'|' or the end, as in global:G or global:FILE, found ','" },
    { "global:li\"st", SYNTAX,
      "column 10: found a double quote within FILE; a name that holds one must stand in double quotes, and it twice" },
    { "global:<positions 3>", SYNTAX,
      "column 8: expected FILE, a name, found '<', which stands for an array that was given without a name; a name that starts "
      "with it must "
      "stand in double quotes" },
    { "blocks:16", SYNTAX, "column 10: expected ',' and FILE, as in blocks:B,FILE, found the end" },
    { "blocks:16,", SYNTAX,
      "column 11: expected FILE, a name, as in blocks:B,FILE, found the end" },
    { "blocks:mask2.npy", SYNTAX,
      "column 8: expected B, a whole number, as in blocks:B,FILE, found 'mask2.npy'" },
    { "blocks:16,mask2.npy,1", SYNTAX,
      "column 20: expected *'+'*';'*'|' or the end, as in blocks:B,FILE, found ','" },
    { "documents:5", SYNTAX,
      "column 11: expected FILE, a name (in double quotes where it looks like a number), as in documents:FILE, found '5'" },
    { "documents:", SYNTAX,
      "column 11: expected FILE, a name, as in documents:FILE, found the end" },
    // Out of range
    { "window:-1,0", INVALID,
      "term 1 (window): left is -1; " FROM_0 ", or inf (TULLE_INFINITE) (column 8)" },
    { "window:0,-1", INVALID,
      "term 1 (window): right is -1; " FROM_0 ", or inf (TULLE_INFINITE) (column 10)" },
    { "window:2147483648,0", INVALID,
      "term 1 (window): left is 2147483648; " FROM_0 ", or inf (TULLE_INFINITE) (column 8)" },
    { "dense;sink:99999999999999999999999", INVALID,
      "term 1 (sink): count is 99999999999999999999999; " FROM_0 " (column 12)" },
    { "sink:-99999999999999999999999", INVALID,
      "term 1 (sink): count is -99999999999999999999999; " FROM_0 " (column 6)" },
    { "sink:18446744073709551616", INVALID,
      "term 1 (sink): count is 18446744073709551616; " FROM_0 " (column 6)" },
    { "global:-1", INVALID, "term 1 (global): count is -1; " FROM_0 " (column 8)" },
    { "dense+dilated:1,2,0", INVALID, "term 2 (dilated): step is 0; " FROM_1 " (column 7)" },
    { "strided:0", INVALID, "term 1 (strided): step is 0; " FROM_1 " (column 1)" },
    { "fixed:4,5", INVALID,
      "term 1 (fixed): count is 5; it must be at least 1 and at most step, 4 (column 1)" },
    { "random:0,1,1", INVALID, "term 1 (random): block is 0; " FROM_1 " (column 1)" },
    { "random:1,1,18446744073709551616", INVALID,
      "term 1 (random): seed is 18446744073709551616; it must be at least 0 and below 18446744073709551616 (column 12)" },
    { "random:1,1,-1", INVALID,
      "term 1 (random): seed is -1; it must be at least 0 and below 18446744073709551616 (column 12)" },
    // Arrays
    { "global:nothere.npy", TULLE_ERROR_CALLBACK,
      "term 1 (global): FILE \"nothere.npy\" could not be loaded: there is no file 'nothere.npy' (column 8)" },
    { "dense+documents:silent.npy", TULLE_ERROR_CALLBACK,
      "term 2 (documents): FILE \"silent.npy\" could not be loaded: the loader gave no reason (column 17)" },
    { "global:hollow.npy", TULLE_ERROR_CALLBACK,
      "term 1 (global): FILE \"hollow.npy\" was loaded without values (column 8)" },
    { "blocks:1,hollowmask.npy", TULLE_ERROR_CALLBACK,
      "term 1 (blocks): FILE \"hollowmask.npy\" was loaded without values (column 10)" },
    { "global:minus.npy", TULLE_ERROR_CALLBACK,
      "term 1 (global): FILE \"minus.npy\" was loaded with shape[0] = -3 (column 8)" },
    { "global:floats.npy", INVALID,
      "term 1 (global): FILE \"floats.npy\" holds another type; it must hold int32 or int64 (column 8)" },
    { "global:int16.npy", INVALID,
      "term 1 (global): FILE \"int16.npy\" holds int16; it must hold int32 or int64 (column 8)" },
    { "documents:bools.npy", INVALID,
      "term 1 (documents): FILE \"bools.npy\" holds another type; it must hold int32 or int64 (column 11)" },
    { "global:mask2.npy", INVALID,
      "term 1 (global): FILE \"mask2.npy\" holds another type; it must hold int32 or int64 (column 8)" },
    { "global:maskint.npy", INVALID,
      "term 1 (global): FILE \"maskint.npy\" has 2 dimensions; it must have 1 (column 8)" },
    { "global:negative.npy", INVALID,
      "term 1 (global): positions[1] is -1; " FROM_0 " (column 8)" },
    { "documents:falling.npy", INVALID,
      "term 1 (documents): positions[2] is 3, after 4; cumulative lengths must not fall (column 11)" },
    { "documents:short.npy", INVALID,
      "term 1 (documents): position_count is 1; it must be at least 2: cumulative lengths are 0 and then each document's end "
      "(column 11)" },
    { "blocks:1,maskfloat.npy", INVALID,
      "term 1 (blocks): FILE \"maskfloat.npy\" holds another type; it must hold bool or integers (column 10)" },
    { "blocks:1,mask1.npy", INVALID,
      "term 1 (blocks): FILE \"mask1.npy\" has 1 dimensions; it must have 2, of query blocks and key blocks, or 3, with layouts "
      "before them "
      "(column 10)" },
    { "blocks:1,mask0.npy", INVALID,
      "term 1 (blocks): FILE \"mask0.npy\" has 0 dimensions; it must have 2, of query blocks and key blocks, or 3, with layouts "
      "before them "
      "(column 10)" },
    { "blocks:1,mask4.npy", INVALID,
      "term 1 (blocks): FILE \"mask4.npy\" has 4 dimensions; it must have 2, of query blocks and key blocks, or 3, with layouts "
      "before them "
      "(column 10)" },
    { "blocks:1,maskbad.npy", INVALID,
      "term 1 (blocks): mask[0][1][1] is 257; it must be 0 or 1 (column 10)" },
    { "blocks:0,mask2.npy", INVALID, "term 1 (blocks): block is 0; " FROM_1 " (column 10)" },
    { "blocks:1,norows.npy", INVALID, "term 1 (blocks): block_rows is 0; " FROM_1 " (column 10)" },
    { "blocks:1,nocols.npy", INVALID, "term 1 (blocks): block_cols is 0; " FROM_1 " (column 10)" },
    { "blocks:1,nolayouts.npy", INVALID, "term 1 (blocks): layouts is 0; " FROM_1 " (column 10)" },
};

static void test_malformed(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(malformed); ++i) {
        struct shelf shelf;
        tulle_error error = { 0 };
        tulle_pattern **patterns = (tulle_pattern **)&shelf;
        uint32_t count = 77;
        tulle_result result = parse(malformed[i].spec, &shelf, &patterns, &count, &error);
        if (!result) fail_msg("\"%s\" was read", malformed[i].spec);
        if (!message_like(error.message, malformed[i].message))
            fail_msg("\"%s\"\n%s\ninstead of\n%s", malformed[i].spec, error.message,
                     malformed[i].message);
        assert_int_equal(result, malformed[i].result);
        assert_int_equal(error.result, malformed[i].result);
        assert_null(patterns);
        assert_int_equal(count, 0);
        assert_int_equal(parse(malformed[i].spec, &shelf, &patterns, &count, NULL),
                         malformed[i].result);

        // The same behind what reads well and holds arrays: those are released and freed too.
        char longer[300];
        snprintf(longer, sizeof longer, "global:list.npy+sink:9;blocks:4,mask3.npy;%s",
                 malformed[i].spec);
        assert_int_equal(parse(longer, &shelf, &patterns, &count, &error), malformed[i].result);
        assert_true(shelf.loads >= 2 && shelf.releases >= 2);
    }
}

// -------------------------------------------------------------------------------------------------
// Of other terms what a message must have: where, which term, what it got, what is allowed

#define PARTS 6          // NULL behind the last included
#define EITHER TULLE_OK  // SYNTAX or INVALID: a matter of taste

static const struct {
    const char *spec;
    tulle_result result;
    const char *parts[PARTS];
} refused[] = {
    // Factors
    { "&", SYNTAX, { "column 1:", "a term", "found '&'" } },
    { "&dense", SYNTAX, { "column 1:", "a term", "found '&'" } },
    { "dense&", SYNTAX, { "column 7:", "a term", "found the end" } },
    { "dense & ", SYNTAX, { "column 9:", "a term", "found the end" } },
    { "dense&&dense", SYNTAX, { "column 7:", "a term", "found '&'" } },
    { "dense&+dense", SYNTAX, { "column 7:", "a term", "found '+'" } },
    { "dense+&dense", SYNTAX, { "column 7:", "a term", "found '&'" } },
    { "dense&;dense", SYNTAX, { "column 7:", "a term", "found ';'" } },
    { "dense;&dense", SYNTAX, { "column 7:", "a term", "found '&'" } },
    { "dense&windw:1,2", SYNTAX, { "column 7:", "found 'windw'" } },
    { "window:3&sink:1", SYNTAX, { "column 9:", "R", "window:L,R", "found '&'" } },
    { "dense&window:-1,0", INVALID, { "window", "left", "-1", "at least 0" } },
    { "sink:1+dense&strided:0", INVALID, { "term 2", "strided", "step", "0", "at least 1" } },
    { "dense&global:nothere.npy",
      TULLE_ERROR_CALLBACK,
      { "global", "\"nothere.npy\"", "there is no file 'nothere.npy'" } },
    { "dense&global:negative.npy", INVALID, { "global", "positions[1]", "-1" } },
    { "global:list.npy&documents:falling.npy", INVALID, { "documents", "positions[2]", "3" } },
    // prefix, chunked, a_shape
    { "prefix", SYNTAX, { "column 7:", "N", "prefix:N", "found the end" } },
    { "prefix:", SYNTAX, { "column 8:", "N", "prefix:N", "found the end" } },
    { "prefix:inf", SYNTAX, { "column 8:", "N", "prefix:N", "found 'inf'" } },
    { "prefix:list.npy", SYNTAX, { "column 8:", "N", "prefix:N", "found 'list.npy'" } },
    { "prefix:1,2", SYNTAX, { "column 9:", "prefix:N", "found ','" } },
    { "prefix:-1", INVALID, { "term 1", "prefix", "-1", "at least 0", "column" } },
    { "prefix:2147483648", INVALID, { "term 1", "prefix", "is 2147483648", "column" } },
    { "chunked:", SYNTAX, { "column 9:", "C", "chunked:C", "found the end" } },
    { "chunked:inf", SYNTAX, { "column 9:", "C", "chunked:C", "found 'inf'" } },
    { "chunked:0", INVALID, { "term 1", "chunked", "0", "at least 1", "column" } },
    { "chunked:2147483648", INVALID, { "term 1", "chunked", "is 2147483648", "column" } },
    { "a_shape:4", SYNTAX, { "column 10:", "W", "a_shape:S,W", "found the end" } },
    { "a_shape:4,", SYNTAX, { "column 11:", "W", "a_shape:S,W", "found the end" } },
    { "a_shape:4,inf", SYNTAX, { "column 11:", "W", "a_shape:S,W", "found 'inf'" } },
    { "a_shape:4,64,1", SYNTAX, { "column 13:", "a_shape:S,W", "found ','" } },
    { "a_shape:-4,64", INVALID, { "term 1", "a_shape", "-4", "at least 0", "column" } },
    { "a_shape:4,0", INVALID, { "term 1", "a_shape", "0", "at least 1", "column" } },
    // vertical_slash
    { "vertical_slash", SYNTAX, { "column 15:", "FILE", "vertical_slash:", "found the end" } },
    { "vertical_slash:v.npy",
      SYNTAX,
      { "column 21:", "FILE", "vertical_slash:", "found the end" } },
    { "vertical_slash:v.npy,",
      SYNTAX,
      { "column 22:", "FILE", "vertical_slash:", "found the end" } },
    { "vertical_slash:v.npy,d.npy,x", SYNTAX, { "column 27:", "vertical_slash:", "found ','" } },
    { "vertical_slash:5,d.npy", SYNTAX, { "column 16:", "FILE", "found '5'" } },
    { "vertical_slash:v.npy,5", SYNTAX, { "column 22:", "FILE", "found '5'" } },
    { "vertical_slash:nothere.npy,d.npy",
      TULLE_ERROR_CALLBACK,
      { "vertical_slash", "\"nothere.npy\"", "there is no file 'nothere.npy'", "column" } },
    { "vertical_slash:v.npy,nothere.npy",
      TULLE_ERROR_CALLBACK,
      { "vertical_slash", "\"nothere.npy\"", "there is no file 'nothere.npy'", "column" } },
    { "vertical_slash:floats.npy,d.npy",
      INVALID,
      { "vertical_slash", "\"floats.npy\"", "int32 or int64" } },
    { "vertical_slash:v.npy,int16.npy",
      INVALID,
      { "vertical_slash", "\"int16.npy\"", "int16", "int32 or int64" } },
    { "vertical_slash:bools.npy,d.npy",
      INVALID,
      { "vertical_slash", "\"bools.npy\"", "int32 or int64" } },
    { "vertical_slash:cube.npy,d.npy",
      INVALID,
      { "vertical_slash", "\"cube.npy\"", "3 dimensions", "2" } },
    { "vertical_slash:v.npy,mask0.npy",
      INVALID,
      { "vertical_slash", "\"mask0.npy\"", "0 dimensions", "2" } },
    { "vertical_slash:below.npy,d.npy", INVALID, { "vertical_slash", "positions[1]", "-2", "-1" } },
    { "vertical_slash:v.npy,below.npy", INVALID, { "vertical_slash", "diagonals[1]", "-2", "-1" } },
    { "vertical_slash:v2.npy,d.npy", INVALID, { "vertical_slash", "2", "1", "column" } },
    { "vertical_slash:v.npy,d2.npy", INVALID, { "vertical_slash", "1", "2", "column" } },
    { "vertical_slash:v2.npy,d3.npy", INVALID, { "vertical_slash", "2", "3", "column" } },
    { "vertical_slash:nolists.npy,d2.npy", INVALID, { "vertical_slash", "0", "column" } },
    { "vertical_slash:hollow.npy,d.npy",
      TULLE_ERROR_CALLBACK,
      { "vertical_slash", "\"hollow.npy\"", "without values" } },
    // neighborhood
    { "neighborhood", SYNTAX, { "column 13:", "neighborhood:", "found the end" } },
    { "neighborhood:", SYNTAX, { "column 14:", "neighborhood:", "found the end" } },
    { "neighborhood:seven", SYNTAX, { "column 14:", "neighborhood:", "'seven'" } },
    { "neighborhood:inf", SYNTAX, { "column 14:", "neighborhood:", "'inf'" } },
    { "neighborhood:7,", SYNTAX, { "column 16:", "neighborhood:" } },
    { "neighborhood:7,2,1", EITHER, { "column", "neighborhood", "1" } },
    { "neighborhood:7,c1,2", EITHER, { "column", "neighborhood" } },
    { "neighborhood:7,c", EITHER, { "column", "neighborhood", "c" } },
    { "neighborhood:7,c2", EITHER, { "column", "neighborhood", "c2" } },
    { "neighborhood:7,x1", EITHER, { "column", "neighborhood", "x1" } },
    { "neighborhood:8x8", EITHER, { "column", "neighborhood" } },
    { "neighborhood:8x,3x3", EITHER, { "column", "neighborhood" } },
    { "neighborhood:x8,3x3", EITHER, { "column", "neighborhood" } },
    { "neighborhood:8x8,3xx", EITHER, { "column", "neighborhood" } },
    { "neighborhood:8x8,3x3,2x2,c10,1", EITHER, { "column", "neighborhood" } },
    // as many axes everywhere, and at most three
    { "neighborhood:8x8,3", EITHER, { "column", "neighborhood", "3", "2", "1" } },
    { "neighborhood:8x8,3x3x3", EITHER, { "column", "neighborhood", "3", "2" } },
    { "neighborhood:8x8,3x3,2", EITHER, { "column", "neighborhood", "2", "1" } },
    { "neighborhood:8x8,3x3,c1", EITHER, { "column", "neighborhood", "c1", "2" } },
    { "neighborhood:8x8,3x3,c100", EITHER, { "column", "neighborhood", "c100", "2" } },
    { "neighborhood:7,c10", EITHER, { "column", "neighborhood", "c10", "1" } },
    { "neighborhood:2x2x2x2,1x1x1x1", EITHER, { "column", "neighborhood", "3" } },
    // out of range
    { "neighborhood:0", INVALID, { "term 1", "neighborhood", "0", "at least 1", "column" } },
    { "neighborhood:-7", INVALID, { "term 1", "neighborhood", "-7", "at least 1", "column" } },
    { "neighborhood:2147483648", INVALID, { "term 1", "neighborhood", "2147483648", "column" } },
    { "neighborhood:7,0", INVALID, { "term 1", "neighborhood", "0", "at least 1", "column" } },
    { "neighborhood:0x8,1x1", INVALID, { "term 1", "neighborhood", "0", "at least 1", "column" } },
    { "neighborhood:8x8,3x0", INVALID, { "term 1", "neighborhood", "0", "at least 1", "column" } },
    { "neighborhood:8x8,3x3,0x1",
      INVALID,
      { "term 1", "neighborhood", "0", "at least 1", "column" } },
    { "neighborhood:16x8,3x9", INVALID, { "term 1", "neighborhood", "9", "8", "column" } },
    { "neighborhood:16x8,3x3,1x3", INVALID, { "term 1", "neighborhood", "3", "8", "column" } },
    { "neighborhood:8x8,3x2147483647,1x2147483647",
      INVALID,
      { "term 1", "neighborhood", "2147483647", "8", "column" } },
    { "neighborhood:65536x32768,3x3",
      INVALID,
      { "term 1", "neighborhood", "2147483648", "column" } },
    { "neighborhood:2147483647x2147483647x2147483647,1x1x1",
      INVALID,
      { "term 1", "neighborhood", "2147483648", "column" } },
    { "neighborhood:2147483648x1,1x1",
      INVALID,
      { "term 1", "neighborhood", "2147483648", "column" } },
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(refused); ++i) {
        struct shelf shelf;
        tulle_error error = { 0 };
        tulle_pattern **patterns = (tulle_pattern **)&shelf;
        uint32_t count = 77;
        tulle_result result = parse(refused[i].spec, &shelf, &patterns, &count, &error);
        if (!result) fail_msg("\"%s\" was read", refused[i].spec);
        const char *lacking = message_lacks(error.message, refused[i].parts);
        if (lacking) fail_msg("\"%s\"\n%s\nlacks \"%s\"", refused[i].spec, error.message, lacking);
        if (refused[i].result == EITHER ? result != SYNTAX && result != INVALID
                                        : result != refused[i].result)
            fail_msg("\"%s\": %s", refused[i].spec, tulle_result_name(result));
        assert_int_equal(error.result, result);
        assert_null(patterns);
        assert_int_equal(count, 0);
        assert_int_equal(parse(refused[i].spec, &shelf, &patterns, &count, NULL), result);

        // The same behind factors that hold arrays.
        char longer[300];
        snprintf(longer, sizeof longer, "global:list.npy&sink:9;blocks:4,mask3.npy&dense+%s",
                 refused[i].spec);
        assert_int_equal(parse(longer, &shelf, &patterns, &count, &error), result);
    }
}

static void test_long_words(void **state) {
    (void)state;
    struct shelf shelf;
    tulle_pattern **patterns;
    uint32_t count;
    tulle_error error;
    char spec[3000];
    memset(spec, '9', sizeof spec);
    memcpy(spec, "sink:", 5);
    spec[sizeof spec - 1] = '\0';
    assert_int_equal(parse(spec, &shelf, &patterns, &count, &error), TULLE_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(error.message, "99...; it must be at least 0"));
    memset(spec, 'y', sizeof spec - 1);
    assert_int_equal(parse(spec, &shelf, &patterns, &count, &error), TULLE_ERROR_SYNTAX);
    assert_non_null(strstr(error.message, "yyy...'"));
    assert_int_equal(parse("global:chatty.npy", &shelf, &patterns, &count, &error),
                     TULLE_ERROR_CALLBACK);
    assert_non_null(strstr(error.message, "could not be loaded: xxx xxxx"));
    assert_non_null(strstr(error.message, "(column 8)"));
    assert_null(strchr(error.message, '\n'));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
