/* C++ names as gdb writes them, and their last parts. */
#include "unit.h"

#include "symbol/cxx_name.h"
#include "symbol/demangle.h"

Test(cxx_name, canonical) {
    static const char *const rows[][2] = {
        {"plain::name", "plain::name"},
        {"Fixed<short int, 4>", "Fixed<short, 4>"},
        {"A<long unsigned int,B<long int>>", "A<unsigned long, B<long> >"},
        {"A<unsigned char>", "A<unsigned char>"},
        {"A<signed char, unsigned>", "A<signed char, unsigned int>"},
        {"A<long long int>::f<int>", "A<long long>::f<int>"},
        {"printer<intptr>", "printer<intptr>"},
        {"operator<< <int>", "operator<< <int>"},
        {"operator!=<const int *, A<long int>>", "operator!=<int const*, A<long> >"},
        {"C::operator()<const B &>", "C::operator()<B const&>"},
        {"operator-><long int>", "operator-><long>"},
        {"my_operator<long int>", "my_operator<long>"},
        {"C::operator bool", "C::operator bool"},
        {"C<const T *>::operator<", "C<T const*>::operator<"},
        {"f<const char *>", "f<char const*>"},
        {"f<const char*, char const *>::g", "f<char const*, char const*>::g"},
        {"pair<const A<const B &>, unsigned const>", "pair<A<B const&> const, unsigned int const>"},
        {"A<const long unsigned int>", "A<unsigned long const>"},
        {"F<int (const char *)>", "F<int (char const*)>"},
        {"const A<constant>", "const A<constant>"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buffer out = BUFFER_INIT(1024);
        cxx_canonical(rows[i][0], &out);
        cr_assert_str_eq(out.data, rows[i][1]);
        buffer_free(&out);
    }
}

Test(cxx_name, last_part) {
    static const char *const rows[][2] = {{"f", "f"},
                                          {"ns::C::f", "f"},
                                          {"ns::C<a::b>::f<x::y>", "f<x::y>"},
                                          {"(anonymous namespace)::f", "f"},
                                          {"C::operator->", "operator->"},
                                          {"ns::", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_assert_str_eq(cxx_last_part(rows[i][0]), rows[i][1]);
}

Test(cxx_name, demangled) {
    struct buffer out = BUFFER_INIT(1024);
    demangle("_ZN2ns1C1fEi", &out);
    buffer_putc(&out, ' ');
    demangle("main", &out);
    buffer_putc(&out, ' ');
    demangle("_Znonsense", &out);
    cr_assert_str_eq(out.data, "ns::C::f(int) main _Znonsense");
    buffer_free(&out);
}
