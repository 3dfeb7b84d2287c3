/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - in the making */
int main(void)
{
    return 0;
}
